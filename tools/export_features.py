"""Write features of tools/extract_features.py as one table, which any vector database reads.

    python tools/export_features.py OUT features.parquet
"""

import argparse

from tvtsv2_mm.utils.processes import importing


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('features', help='folder that tools/extract_features.py wrote')
    parser.add_argument('table', help='file that is written: .parquet, or .arrow (Feather)')
    return parser


def main() -> None:
    """Write."""
    parser = build_parser()
    args = parser.parse_args()
    with importing():
        from tvtsv2_mm.apis.features.table import export_table
    try:
        rows = export_table(args.features, args.table)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    print(f'{rows} rows in {args.table}')


if __name__ == '__main__':
    main()
