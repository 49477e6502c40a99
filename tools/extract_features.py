"""Extract the features of a folder or list of videos; goes on where it was killed.

    python tools/extract_features.py VIDEOS OUT --checkpoint TVTSv2_ViT_B_16.pth
    torchrun --nproc_per_node 8 tools/extract_features.py VIDEOS OUT -C ... --launcher pytorch
    python tools/extract_features.py VIDEOS OUT -C ... --ray --replicas 4

OUT then holds the shards, index.jsonl, failed.jsonl and meta.json.
"""

import argparse
import os

from tvtsv2_mm.apis.launch.arguments import (
    add_clip_arguments,
    add_launcher_arguments,
    add_model_arguments,
    parse_launch_arguments,
)
from tvtsv2_mm.choices import FEATURE_FORMATS
from tvtsv2_mm.utils.processes import importing, keep_freed_memory
from tvtsv2_mm.utils.tables import print_table


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('videos', help='folder, or text file with one path a line (relative to '
                        'the folder of the file)')
    parser.add_argument('out', help='folder of the shards')
    add_model_arguments(parser)
    add_clip_arguments(parser)
    parser.add_argument('--format', choices=FEATURE_FORMATS, default='npy')
    parser.add_argument('--windows', type=float, metavar='SECONDS',
                        help='one vector for each window of so many seconds, for the search of '
                        'moments; by default one a video')
    parser.add_argument('--stride', type=float, metavar='SECONDS',
                        help='from the start of one window to that of the next (half a window)')
    parser.add_argument('--fps', type=float, help='frames a second that are taken of a window; by '
                        'default as many as the model takes, evenly')
    parser.add_argument('--per-video-files', action='store_true',
                        help='write OUT/per_video/VIDEO.npy too, float32 (windows, E)')
    parser.add_argument('--part-size', type=int,
                        help='videos of a shard; what a kill can cost each process (256; with '
                        '--windows 16)')
    parser.add_argument('--batch-size', type=int, help='clips at once (8; on a CPU 2)')
    parser.add_argument('--num-workers', type=int, default=min(os.cpu_count() or 1, 8),
                        help='decoding processes of each process; 0: none (%(default)s)')
    parser.add_argument('--retry-failed', action='store_true',
                        help='try again the videos that failed in an earlier run')
    add_launcher_arguments(parser)
    parser.add_argument('--ray', nargs='?', const='local', metavar='ADDRESS',
                        help='run on Ray: on this machine, or on the cluster at ADDRESS')
    parser.add_argument('--profile', action='store_true',
                        help='decode in this process, and print the time spent in the model, in '
                        'the decoder and between them')
    parser.add_argument('--replicas', type=int, default=1, help='with --ray: copies of the model')
    parser.add_argument('--gpus-per-replica', type=float, default=0,
                        help='with --ray: GPUs of each copy (%(default)s)')
    return parser


def main() -> None:
    """Extract."""
    parser = build_parser()
    args = parse_launch_arguments(parser)
    if (args.ray is not None) + (args.launcher != 'none') + args.profile > 1:
        parser.error('choose one of --ray, --launcher and --profile')
    with importing():
        from tvtsv2_mm.apis.features.extract import ExtractionConfig, extract
        from tvtsv2_mm.apis.launch.runs import check_checkpoint, check_file
        from tvtsv2_mm.apis.windows import Windows
    keep_freed_memory()
    if args.windows is None and args.stride is not None:
        parser.error('--stride is of --windows')
    profile = None
    try:
        windows = None if args.windows is None else Windows(
            seconds=args.windows, stride=args.windows / 2 if args.stride is None else args.stride)
        if args.profile:
            from tvtsv2_mm.apis.features.profile import ExtractionProfile
            profile = ExtractionProfile()
        config = ExtractionConfig(
            weights=check_checkpoint(args.checkpoint),
            config=args.config and check_file(args.config, 'config'),
            device=args.device, dtype=args.dtype, clips=args.clips, frames=args.frames,
            windows=windows, fps=args.fps, batch_size=args.batch_size,
            num_workers=0 if args.profile else args.num_workers)
        shared = dict(format=args.format, part_size=args.part_size, retry_failed=args.retry_failed,
                      per_video_files=args.per_video_files)
        if args.ray is not None:
            from tvtsv2_mm.apis.features.on_ray import extract_on_ray
            counts = extract_on_ray(
                args.videos, args.out, config, address=args.ray, num_replicas=args.replicas,
                gpus_per_replica=args.gpus_per_replica, **shared)
        else:
            counts = extract(args.videos, args.out, config, launcher=args.launcher, profile=profile,
                             **shared)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    if counts is not None:
        found, failed = counts
        print(f'{found} videos in {args.out}'
              + (f'; {failed} failed, see {os.path.join(args.out, "failed.jsonl")}' if failed
                 else ''))
    if profile is not None:
        seconds = profile.seconds()
        rows = [[place, f'{time:.1f}', f'{time / sum(seconds.values()):.1%}']
                for place, time in seconds.items()]
        print_table([['time in', 'seconds', 'share'], *rows])


if __name__ == '__main__':
    main()
