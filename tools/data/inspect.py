"""Look at an annotation file before training: figures, plots and frames in one HTML file."""

import os
import sys

# Python looks for modules in the folder of the script that it runs. So `import inspect` in any
# library that a tool of this folder needs would find this file and not the standard library's.
sys.path[:] = [folder for folder in sys.path
               if os.path.realpath(folder) != os.path.dirname(os.path.realpath(__file__))]
if __name__ == 'inspect':
    # That has happened, in another tool. The import system gives out what it finds here in the end.
    del sys.modules['inspect']
    import inspect  # noqa: F401
else:
    from tvtsv2_mm.apis.inspection.command_line import main

if __name__ == '__main__':
    main(__doc__)
