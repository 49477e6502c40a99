"""Show features of tools/extract_features.py as a page to find moments with, in the browser.

    python tools/serve.py OUT --checkpoint TVTSv2_ViT_B_16.pth
    python tools/serve.py OUT -C ... --host 0.0.0.0     # for others; prints an address with a token

Without --host it answers this machine alone. docs/page.md tells what is defended.
"""

import argparse
import sys
from contextlib import redirect_stdout

from tvtsv2_mm.apis.launch.arguments import add_model_arguments
from tvtsv2_mm.utils.processes import importing


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('features', help='folder that tools/extract_features.py wrote')
    add_model_arguments(parser)
    parser.add_argument('--videos', metavar='FOLDER',
                        help='where the videos lie; by default where they lay when they were '
                        'extracted')
    parser.add_argument('--texts-only', action='store_true',
                        help='do not load the video encoder: no search by pictures and videos')
    parser.add_argument('--host', default='127.0.0.1',
                        help='address to answer at; on others than this machine alone a token is '
                        'needed, and drawn where none is given (%(default)s)')
    parser.add_argument('--port', type=int, default=8000, help='0: any that is free (%(default)s)')
    parser.add_argument('--token', help='what whoever opens the page has to know')
    return parser


def main() -> None:
    """Serve."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        with redirect_stdout(sys.stderr):
            with importing():
                from tvtsv2_mm.apis.page.serving import PageServer, open_library
            library = open_library(
                args.features, args.checkpoint, videos=args.videos, config=args.config,
                device=args.device, dtype=args.dtype, texts_only=args.texts_only)
            server = PageServer(library, host=args.host, port=args.port, token=args.token)
    except (FileNotFoundError, RuntimeError, ValueError) as error:
        parser.error(str(error))
    print(f'{server.address}  (Ctrl-C ends it)', flush=True)
    server.run()


if __name__ == '__main__':
    main()
