"""Find near-duplicates among features of tools/extract_features.py, with their times.

    python tools/find_duplicates.py OUT
"""

import argparse
import json

from tvtsv2_mm.utils.processes import importing
from tvtsv2_mm.utils.tables import clock_time, print_table


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('features', help='folder that tools/extract_features.py wrote: with '
                        '--windows, of parts of videos')
    parser.add_argument('--threshold', type=float, default=0.95,
                        help='the least cosine (%(default)s)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    return parser


def main() -> None:
    """Find."""
    parser = build_parser()
    args = parser.parse_args()
    with importing():
        from tvtsv2_mm.apis.features import load_features
        from tvtsv2_mm.apis.search.duplicates import find_duplicates
    try:
        found = find_duplicates(load_features(args.features), args.threshold)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    if args.json:
        print(json.dumps(dict(duplicates=[vars(duplicate) for duplicate in found])))
        return
    print_table([['video', 'part', 'is like', 'part', 'cosine'], *(
        [first, ' - '.join(map(clock_time, its or ())), second,
         ' - '.join(map(clock_time, theirs or ())), f'{duplicate.cosine:.4f}']
        for duplicate in found
        for (first, second), (its, theirs) in [(duplicate.videos, duplicate.spans)])])


if __name__ == '__main__':
    main()
