"""Measure the data path beside MMAction2's stock pipeline, in turns on the same files.

    python tools/benchmarks/data.py VIDEOS...

Shows CPU time of a clip for each way and file, ratios to the stock pipeline, and memory. 'fast'
leaves the scaling to the decoder (the others give the release's pixels; how far it is from them is
shown), 'several' is one opening for several clips, 'shards' what tools/data/make_shards.py --encode
makes of the file. CPU time says more than the clock on a shared machine. Linux only (/proc).
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

WAYS = ('auto', 'fast', 'decord', 'isolated', 'several', 'shards')


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('videos', nargs='*', type=Path, help='files, or folders of them')
    add('--generate', action='store_true',
        help='also a clip written here: 1080p, 10 s, one key frame in 250')
    add('--ways', nargs='+', choices=WAYS, default=WAYS[:-1],
        help='beside stock (default: %(default)s)')
    add('--rounds', type=int, default=5, help='turns of each (%(default)s)')
    add('--frames', type=int, default=12, help='of a clip (%(default)s)')
    add('--short-side', type=int, default=268, help='pixels (%(default)s)')
    add('--size', type=int, default=224, help='of the crop (%(default)s)')
    add('--clips-per-video', type=int, default=4, help='of one opening (%(default)s)')
    add('--out', help='JSON file (benchmarks/results/<what>_<hardware>_<date>.json)')
    args = parser.parse_args()
    import cv2
    import torch
    from decoding import generate_clip, measure
    from results import save

    from tvtsv2_mm.video.files import walk_videos
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        files = [place / name for place in args.videos for name in (
            sorted(walk_videos(str(place))) if place.is_dir() else [''])]
        if args.generate:
            files.append(Path(folder) / 'generated.mp4')
            generate_clip(files[-1])
        if not files:
            parser.error('no videos: name some, or --generate one')
        rows = measure(args, files)
    save('decoding', rows, args)


if __name__ == '__main__':
    main()
