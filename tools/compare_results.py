"""Print result files side by side, and beside the paper's figures.

Beside a run stands how far it drops in those of the same model with other --frames.
"""

import argparse
from pathlib import Path

from tvtsv2_mm.utils.errors import one_error


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', nargs='+', metavar='RESULT.json',
                        help='result files; NAME=RESULT.json gives a column its heading')
    parser.add_argument('--no-paper', action='store_true', help="leave the paper's figures out")
    parser.add_argument('--peers', action='store_true',
                        help='a line for each system; frames, crops, prompts, normalisation in '
                        'columns')
    args = parser.parse_args()
    from tvtsv2_mm.evaluation.compare_results import compare
    from tvtsv2_mm.evaluation.results import read_result
    names, results = [], []
    try:
        for given in args.results:
            name, _, path = given.rpartition('=')
            result = read_result(path)
            with one_error(f'{path} is no result file of this version'):
                config = (result.get('config') or {}).get('file')
                names.append(name or Path(config or path).stem)
                compare([result], names[-1:], peers=args.peers)
            results.append(result)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    print(compare(results, names, paper=not args.no_paper, peers=args.peers))


if __name__ == '__main__':
    main()
