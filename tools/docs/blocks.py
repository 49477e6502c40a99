"""Renew the blocks of documents that tools make, or only look for stale ones (--check).

    <!-- made by tools/benchmarks/tables.py: sizes benchmarks/results/encoder-sizes_....json -->
    ...
    <!-- made -->

The tool has a function ``block(*words) -> str`` for what stands between the comments, which in YAML
are '# made by tools/...py: words' and '# made'. Nothing else is to be registered.
"""

import argparse
import re
import runpy
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = re.compile(r'^(?:<!--| *#) made by (\S+\.py):([^\n]*?)(?: -->)?\n', re.MULTILINE)
BLOCK = re.compile(rf'({START.pattern})(.*?)(^(?:<!--| *#) made(?: -->)?$)', re.M | re.DOTALL)


@cache
def run_tool(tool: str) -> dict:
    """The names of a tool; it finds the files beside it, as if it was called."""
    sys.path.insert(0, str((ROOT / tool).parent))
    return runpy.run_path(str(ROOT / tool))


def make(found: re.Match) -> str:
    """A block as its tool makes it now."""
    start, tool, words, _, end = found.groups()
    return f'{start}{run_tool(tool)["block"](*words.split()).strip()}\n{end}'


def main() -> None:
    """Renew or check all documents."""
    parser = argparse.ArgumentParser(description='Renew the blocks of documents that tools make.')
    parser.add_argument('--check', action='store_true', help='change nothing, fail if stale')
    parser.add_argument('documents', nargs='*', type=Path, help='(all .md and .yml files)')
    args = parser.parse_args()
    everywhere = (path for pattern in ('*', 'configs/**/*', 'docs/**/*', 'tools/**/*')
                  for path in ROOT.glob(pattern) if path.suffix in ('.md', '.yml'))
    stale = []
    for path in args.documents or sorted(everywhere):
        text = path.read_text('utf-8')
        new, count = BLOCK.subn(make, text)
        if count < len(START.findall(text)):
            raise ValueError(f'no end of a block of {path}')
        if new != text:
            stale.append(str(path))
            if not args.check:
                path.write_text(new, 'utf-8')
    print(len(stale), 'stale' if args.check else 'renewed', *stale)
    sys.exit('renew them: python tools/docs/blocks.py' if args.check and stale else None)


if __name__ == '__main__':
    main()
