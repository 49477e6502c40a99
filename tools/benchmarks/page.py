"""Measure the page of tools/serve.py as it is: its own process, asked over HTTP on this machine.

    python tools/benchmarks/page.py                     # first results, B/16, 100,000 windows
    python tools/benchmarks/page.py --soak 600          # 50 requests a second, tiny model

Features and weights are random; each text is one that was not asked for before. With --soak
requests of all kinds come at a fixed rate, wrong ones among them: one that is not answered as it
should be has failed. Shown is the resident memory of the server and its decoders by minute. Linux
only (/proc).
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

SIZES = ('tiny', 'b32', 'b16')


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--size', choices=SIZES, default='b16', help='of the model (%(default)s)')
    add('--windows', type=int, default=100_000, help='of random features (%(default)s)')
    add('--requests', type=int, default=200, help='of each row (%(default)s)')
    add('--at-once', type=int, nargs='+', default=[1, 4],
        help='requests that are under way at a time (%(default)s)')
    add('--soak', type=float, metavar='SECONDS', help='a soak instead, of the tiny model')
    add('--rate', type=float, default=50, help='of the soak, requests a second (%(default)s)')
    add('--out', help='JSON file (benchmarks/results/<what>_<hardware>_<date>.json)')
    args = parser.parse_args()
    from results import save
    from serving import measure, soak
    with TemporaryDirectory() as folder:
        rows = soak(args, Path(folder)) if args.soak else measure(args, Path(folder))
    save('page-soak' if args.soak else f'page-{args.size}', rows, args)


if __name__ == '__main__':
    main()
