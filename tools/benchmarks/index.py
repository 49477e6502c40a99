"""Compare indexes of many windows: recall, time of a query, of making, of changes, and memory.

    pip install usearch hnswlib
    python tools/benchmarks/index.py                    # a million windows: half an hour, 8 GB
    python tools/benchmarks/index.py --rows 20000       # a minute

Windows are made: of each video they wander from a place of its own, near one of 200 topics, in 64
of the directions of the space, with noise in all. Queries are near a window ('like'), and near a
topic beyond a gap and much noise, as texts are ('text'). Each index looks harder until it finds
enough: a row is the least effort at which recall@10 of both kinds is at least 0.95, or its most.
Times are those of the processor, in one thread for a query, so that other work counts little.
"""

import argparse


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, default=1_000_000, help='windows (%(default)s)')
    parser.add_argument('--width', type=int, default=512, help='of a vector (%(default)s)')
    parser.add_argument('--indexes', nargs='+', default=(), metavar='NAME',
                        help='those of indexes.py that are compared (all)')
    parser.add_argument('--out',
                        help='JSON file (benchmarks/results/<what>_<hardware>_<date>.json)')
    args = parser.parse_args()
    from indexes import CONTESTANTS, measure_all
    from results import save
    if unknown := {*args.indexes} - {*CONTESTANTS}:
        parser.error(f'there is no index {", ".join(unknown)}; there are {", ".join(CONTESTANTS)}')
    save(f'index-{args.rows}', measure_all(args.rows, args.width, args.indexes), args)


if __name__ == '__main__':
    main()
