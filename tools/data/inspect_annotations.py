"""Look at an annotation file before training: figures, plots and frames in one HTML file."""

import argparse
from pathlib import Path


def main() -> None:
    """Write the page and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('annotations', help='annotation file, transcripts or captions')
    parser.add_argument('output', nargs='?', help='HTML file to write (default: ANNOTATIONS.html)')
    parser.add_argument('--videos', help='folder of the videos (default: no frames are shown)')
    parser.add_argument('--sample', type=int, default=2000, metavar='RECORDS',
                        help='records drawn at random for plots, languages and draws of segments '
                             '(default: %(default)s)')
    parser.add_argument('--sheets', type=int, default=6, metavar='RECORDS',
                        help='records whose frames are shown (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    # As of SampleTranscriptSegments.
    parser.add_argument('--num-segments', type=int, default=4,
                        help='segments of a sample, as in the config (default: %(default)s)')
    parser.add_argument('--segment-seconds', type=int, nargs=2, default=(3, 5),
                        metavar=('SHORTEST', 'LONGEST'))
    parser.add_argument('--gap-seconds', type=float, default=1.0)
    args = parser.parse_args()
    from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
    from tvtsv2_mm.preparation.inspection.survey import survey_file
    output = Path(args.output or f'{args.annotations}.html')
    try:
        from tvtsv2_mm.preparation.inspection.page import write_page
        sampler = SampleTranscriptSegments(
            num_segments=args.num_segments, segment_seconds=args.segment_seconds,
            gap_seconds=args.gap_seconds)
        if min(args.sample, args.sheets) < 1:
            raise ValueError(f'--sample and --sheets must be at least 1, got {args.sample} and '
                             f'{args.sheets}')
        survey = survey_file(args.annotations, sample_size=args.sample, seed=args.seed)
        print(write_page(survey, output, sampler=sampler, videos=args.videos,
                         num_sheets=args.sheets, seed=args.seed))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    print(f'page: {output}')


if __name__ == '__main__':
    main()
