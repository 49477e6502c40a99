"""Render the embedded data: short narrated videos of moving shapes, with transcripts and labels."""

import argparse
import os
import time

from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    default = NarratedShapesOptions()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', nargs='?', default='data/narrated_shapes',
                        help='folder to write to (default: %(default)s, where the configs look)')
    parser.add_argument('--seed', type=int, default=default.seed)
    parser.add_argument('--transcript-videos', type=int, nargs=2, metavar=('TRAIN', 'VAL'),
                        default=default.transcript_videos)
    parser.add_argument('--clip-rounds', type=int, nargs=2, metavar=('TRAIN', 'TEST'),
                        default=default.clip_rounds,
                        help='single-event clips of each of the 108 combinations')
    parser.add_argument('--order-clips', type=int, nargs=2, metavar=('TRAIN', 'TEST'),
                        default=default.order_clips, help='two-event clips')
    parser.add_argument('--num-events', type=int, nargs=2, metavar=('FEWEST', 'MOST'),
                        default=default.num_events, help='events of a narrated video, 2 to 6')
    parser.add_argument('--event-seconds', type=float, nargs=2, metavar=('SHORTEST', 'LONGEST'),
                        default=default.event_seconds)
    parser.add_argument('--size', type=int, default=default.size, help='side of a frame in pixels')
    parser.add_argument('--fps', type=float, default=default.fps)
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1,
                        help='processes that render; the result does not depend on it')
    return parser.parse_args()


def main() -> None:
    """Write the data set and say what it holds."""
    args = parse_args()
    started = time.perf_counter()
    try:
        options = NarratedShapesOptions(
            seed=args.seed, transcript_videos=tuple(args.transcript_videos),
            clip_rounds=tuple(args.clip_rounds), order_clips=tuple(args.order_clips),
            num_events=tuple(args.num_events), event_seconds=tuple(args.event_seconds),
            size=args.size, fps=args.fps)
        counts = build_narrated_shapes(args.root, options, workers=args.workers)
    except ValueError as error:
        raise SystemExit(f'error: {error}') from None
    seconds = time.perf_counter() - started
    print(', '.join(f'{number} {name}' for name, number in counts.items()))
    print(f'{sum(counts.values())} videos with annotations are in {args.root} ({seconds:.1f} s)')


if __name__ == '__main__':
    main()
