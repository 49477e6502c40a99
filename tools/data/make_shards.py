"""Write WebDataset shards of an annotation file; the same command goes on where it was killed.

    python tools/data/make_shards.py train.jsonl OUT --videos FOLDER --encode --workers 8
    python tools/data/make_shards.py train.jsonl OUT --videos FOLDER --encode --ray --workers 8
    python tools/data/make_shards.py train.jsonl OUT --videos FOLDER --encode --ray auto ...

OUT then holds parts/*.tar, index.json (for ShardedTranscriptDataset and ShardedCaptionDataset),
failed.jsonl, dropped.jsonl and meta.json. Without --encode the videos go in as they are.
"""

import argparse
import os
import sys

from tvtsv2_mm.preparation.options import CutConfig, EncodingConfig


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    encoding, cutting = EncodingConfig(), CutConfig()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('annotations', help='.jsonl of transcripts or captions')
    parser.add_argument('out', help='folder of the shards')
    parser.add_argument('--videos', required=True, help='folder that its paths are relative to')
    parser.add_argument('--part-size', type=int, default=500, metavar='N',
                        help='videos of a shard; what a kill can cost each worker (%(default)s)')
    parser.add_argument('--seed', type=int, default=0,
                        help='the videos are shuffled over the shards by it (%(default)s)')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1,
                        help='processes, or workers on Ray (%(default)s)')
    parser.add_argument('--ray', nargs='?', const='local', metavar='ADDRESS',
                        help='run on Ray: on this machine, or on the cluster at ADDRESS')
    encode = parser.add_argument_group('encoding for training')
    encode.add_argument('--encode', action='store_true',
                        help='encode the videos: small, near key frames, no sound, only the '
                        'narrated parts; what the model sees is then no longer the pixels '
                        'of the release')
    encode.add_argument('--short-side', type=int, default=encoding.short_side,
                        help='pixels; smaller videos keep their size (%(default)s)')
    encode.add_argument('--key-seconds', type=float, default=encoding.key_seconds,
                        help='largest distance of two key frames (%(default)s)')
    encode.add_argument('--crf', type=float, default=encoding.crf,
                        help='of x264: less is better and larger (%(default)s)')
    encode.add_argument('--preset', default=encoding.preset,
                        help='of x264: slower is smaller (%(default)s)')
    encode.add_argument('--max-gap', type=float, default=cutting.max_gap,
                        help='seconds of silence that do not end a part (%(default)s)')
    encode.add_argument('--margin', type=float, default=cutting.margin,
                        help='seconds kept around the words of a part (%(default)s)')
    encode.add_argument('--min-seconds', type=float, default=cutting.min_seconds,
                        help='shorter parts are dropped and listed (%(default)s)')
    encode.add_argument('--max-seconds', type=float, default=cutting.max_seconds,
                        help='longer parts are cut (%(default)s)')
    return parser


def main() -> None:
    """Make the shards."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        from tvtsv2_mm.preparation.shards import ShardConfig, make_shards
        config = ShardConfig(
            ann_file=os.path.abspath(args.annotations), videos=os.path.abspath(args.videos),
            encoding=EncodingConfig(
                short_side=args.short_side, key_seconds=args.key_seconds, crf=args.crf,
                preset=args.preset) if args.encode else None,
            cutting=CutConfig(max_gap=args.max_gap, margin=args.margin,
                              min_seconds=args.min_seconds, max_seconds=args.max_seconds),
            part_size=args.part_size, seed=args.seed)
        summary = make_shards(config, args.out, num_processes=args.workers, ray_address=args.ray)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    except RuntimeError as error:
        sys.exit(f'{parser.prog}: {error}')
    print(f'{summary.samples} samples in {summary.shards} shards, {summary.megabytes:.1f} MB from '
          f'{summary.source_megabytes:.1f} MB of videos, in {args.out}')
    for count, what, name in ((summary.failed, 'videos failed', 'failed.jsonl'),
                              (summary.dropped, 'videos or parts are too short', 'dropped.jsonl')):
        if count:
            print(f'{count} {what}, see {os.path.join(args.out, name)}')


if __name__ == '__main__':
    main()
