"""Check the model against golden files of the authors' release.

Prints the largest error of each quantity; exits with 1 when one is beyond its tolerance, with 2
when a file cannot be used.
"""

import argparse
import sys

from tvtsv2_mm.utils.tables import print_table


def main() -> int:
    """Check every file that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs='+', metavar='FILE', help='golden files (.safetensors)')
    files = parser.parse_args().files
    from tvtsv2_mm.apis.release_equality import compare_with_release
    failed = 0
    for path in files:
        try:
            differences = list(compare_with_release(path))
        except (ValueError, FileNotFoundError) as error:
            print(f'error: {error}', file=sys.stderr)
            return 2
        rows = [[d.quantity, f'{d.error:.2e}', f'{d.tolerance:.0e}', '' if d.passed else 'BEYOND']
                for d in differences]
        print(path)
        print_table([['quantity', 'largest error', 'tolerance', ''], *rows])
        failed += sum(not d.passed for d in differences)
    print(f'{len(files)} files, {failed} quantities beyond the tolerance')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
