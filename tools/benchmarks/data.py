"""Measure the data path beside MMAction2's stock pipeline, in turns on the same files.

    python tools/benchmarks/data.py VIDEOS... --out data.json

Shows CPU seconds a clip for each decoder and file, their ratios to the stock pipeline, memory, the
throughput of whole loaders, and the share of a training step that waits for data. 'fast' leaves the
scaling to the decoder (the others give the release's pixels; how far it is from them is shown),
'several' is one opening for several clips, 'shards' what tools/data/make_shards.py --encode makes
of the file. CPU seconds come first: on a shared machine they say more than the clock. Linux only
(it reads /proc).
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
import torch
from common import machine, peak_above_rest, show_progress
from torch.utils.data import DataLoader, Dataset

from tvtsv2_mm.datasets import collate_clips
from tvtsv2_mm.datasets.clips_of_video import run_transforms
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig, encode_part
from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.video.errors import SampleError
from tvtsv2_mm.video.files import walk_videos
from tvtsv2_mm.video.header import read_video_header
from tvtsv2_mm.video.source import VideoSource

STOCK, AUTO, FAST, SEVERAL, SHARDS = 'stock', 'auto', 'fast', 'several', 'shards'
PACKAGES = ('torch', 'av', 'decord', 'mmaction2', 'opencv-python', 'numpy')


@dataclass(frozen=True)
class ClipShape:
    """What every contestant makes of a file."""

    num_frames: int
    short_side: int
    size: int
    clips_per_video: int


class Contestant:
    """One way from a file to clips.

    Args:
        name: 'stock', or what ``our_pipeline`` knows.
        shape: Of the clips.
        encoded: For 'shards', the bytes of each file as they are in a shard.
    """

    def __init__(self, name: str, shape: ClipShape,
                 encoded: dict[Path, bytes] | None = None) -> None:
        self.name = name
        self._encoded = encoded if name == SHARDS else {}
        self.num_clips = shape.clips_per_video if name == SEVERAL else 1
        steps = stock_pipeline(shape) if name == STOCK else our_pipeline(name, shape)
        self._transforms = [TRANSFORMS.build(step) for step in steps]

    def clips(self, path: Path, rng: np.random.Generator) -> list[dict]:
        """Make clips of a file, with random frames and crops."""
        return run_transforms(self._transforms, [
            dict(filename=str(path), rng=rng, label=0, start_index=0, modality='RGB',
                 video_bytes=self._encoded.get(path))
            for _ in range(self.num_clips)])


def stock_pipeline(shape: ClipShape) -> list[dict]:
    """MMAction2's own."""
    return [
        dict(type='mmaction.DecordInit', num_threads=1),
        dict(type='mmaction.UniformSample', clip_len=shape.num_frames, num_clips=1),
        dict(type='mmaction.DecordDecode'),
        dict(type='mmaction.Resize', scale=(-1, shape.short_side)),
        dict(type='mmaction.RandomCrop', size=shape.size),
        dict(type='mmaction.FormatShape', input_format='NCTHW'),
        dict(type='mmaction.PackActionInputs'),
    ]


def our_pipeline(name: str, shape: ClipShape) -> list[dict]:
    """The same by this package."""
    options = dict(isolate=True) if name == 'isolated' else {}
    if name in ('pyav', 'decord', 'torchcodec'):
        options = dict(backend=name)
    if name == FAST:
        options = dict(interpolation='fast')
    return [
        dict(type='OpenVideo', short_side=shape.short_side, **options),
        dict(type='SampleClipFrames', num_frames=shape.num_frames),
        dict(type='DecodeClip'),
        dict(type='CropClip', size=shape.size),
        dict(type='PackVideoText'),
    ]


class FileClips(Dataset):
    """Clips of files, for a data loader."""

    def __init__(self, contestant: Contestant, files: Sequence[Path], length: int) -> None:
        self.contestant = contestant
        self.files = files
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[dict]:
        return self.contestant.clips(
            self.files[index % len(self.files)], np.random.default_rng(index))


def cpu_seconds() -> float:
    """CPU time of all threads of this process and of its children that live."""
    total = time.process_time()
    for children in Path('/proc/self/task').glob('*/children'):
        for child in children.read_text().split():
            for schedule in Path(f'/proc/{child}/task').glob('*/schedstat'):
                total += int(schedule.read_text().split()[0]) * 1e-9
    return total


def measure_decoders(contestants: Sequence[Contestant], files: Sequence[Path],
                     rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Median CPU and wall seconds of a clip, by file and contestant; they take turns."""
    seconds: dict[tuple[Path, str], list[tuple[float, float]]] = {}
    for turn in range(-1, rounds):  # the first turn warms up and does not count
        for file in files:
            for contestant in contestants:
                cpu, wall = cpu_seconds(), time.perf_counter()
                contestant.clips(file, np.random.default_rng(max(turn, 0)))
                spent = cpu_seconds() - cpu, time.perf_counter() - wall
                if turn >= 0:
                    seconds.setdefault((file, contestant.name), []).append(
                        tuple(part / contestant.num_clips for part in spent))
        show_progress(f'decoders: round {turn + 1} of {rounds}')
    return {str(file): {
        contestant.name: dict(
            cpu=statistics.median(cpu for cpu, _ in seconds[file, contestant.name]),
            wall=statistics.median(wall for _, wall in seconds[file, contestant.name]))
        for contestant in contestants} for file in files}


def levels_of_fast(shape: ClipShape, files: Sequence[Path]) -> dict[str, float]:
    """Mean difference, of 255, between the same clips with the decoder's scaler and without."""
    def pixels(name: str, file: Path) -> torch.Tensor:
        clip, = Contestant(name, shape).clips(file, np.random.default_rng(0))
        return clip['inputs']['video'].float()

    return {str(file): float((pixels(FAST, file) - pixels(AUTO, file)).abs().mean())
            for file in files}


def _peak_megabytes(name: str, shape: ClipShape, files: Sequence[Path]) -> float:
    cv2.setNumThreads(0)
    contestant = Contestant(name, shape)
    contestant.clips(files[0], np.random.default_rng(0))

    def make_all() -> None:
        for file in files:
            contestant.clips(file, np.random.default_rng(0))

    return peak_above_rest(make_all) / 2**20


def measure_memory(names: Iterable[str], shape: ClipShape,
                   files: Sequence[Path]) -> dict[str, float]:
    """Megabytes that the peak is above the resting process, each in a process of its own."""
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        return {name: pool.apply(_peak_megabytes, (name, shape, files)) for name in names}


def run_loader(contestant: Contestant, files: Sequence[Path], *, num_workers: int,
               batch_size: int, num_clips: int, step_seconds: float = 0.0) -> dict[str, float]:
    """Run a data loader and a consumer whose step leaves the CPU alone, as a GPU's does."""
    length = num_clips // contestant.num_clips
    loader = DataLoader(
        FileClips(contestant, files, length), batch_size=batch_size // contestant.num_clips,
        num_workers=num_workers, collate_fn=collate_clips)
    children = _reaped_seconds()
    cpu, start, waiting = time.process_time(), time.perf_counter(), 0.0
    batches = iter(loader)
    first = True
    while True:
        asked = time.perf_counter()
        if next(batches, None) is None:
            break
        if not first:  # the first batch always is waited for
            waiting += time.perf_counter() - asked
        first = False
        time.sleep(step_seconds)
    wall = time.perf_counter() - start
    del batches
    cpu = time.process_time() - cpu + _reaped_seconds() - children
    megabytes = sum(files[i % len(files)].stat().st_size for i in range(length)) / 1e6
    return dict(clips_per_second=num_clips / wall, megabytes_per_second=megabytes / wall,
                cpu_per_clip=cpu / num_clips, waiting_share=waiting / wall)


def _reaped_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ratios_to_stock(seconds: dict[str, dict[str, dict[str, float]]], name: str,
                    codecs: dict[str, str], codec: str | None) -> dict[str, float]:
    """How many times fewer CPU seconds than stock, over the files of a codec (None: all)."""
    ratios = [by_name[STOCK]['cpu'] / by_name[name]['cpu'] for file, by_name in seconds.items()
              if codec is None or codecs[file] == codec]
    if not ratios:
        return {}
    return dict(files=len(ratios), geometric_mean=statistics.geometric_mean(ratios),
                lowest=min(ratios), highest=max(ratios))


def generate_clip(path: Path) -> None:
    """Write 10 s of 1080p H.264 with one key frame in 250: a textured picture that moves."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 255, (160, 240, 3), np.uint8), (2400, 1600))
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1920, 1080, 'yuv420p', 250
        stream.options = {'preset': 'veryfast', 'crf': '28', 'sc_threshold': '0'}
        for i in range(300):
            top, left = int(250 + 240 * np.sin(i / 40)), int(240 + 230 * np.cos(i / 30))
            picture = np.ascontiguousarray(texture[top:top + 1080, left:left + 1920])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())


def encode_all(files: Iterable[Path]) -> tuple[dict[Path, bytes], dict[str, dict[str, float]]]:
    """The bytes that shards have of files, and megabytes before and after and CPU seconds."""
    encoded, sizes = {}, {}
    for file in files:
        start = time.process_time()
        encoded[file] = encode_part(str(file), 0.0, float('inf'), EncodingConfig()).data
        sizes[str(file)] = dict(
            source_megabytes=file.stat().st_size / 1e6, megabytes=len(encoded[file]) / 1e6,
            encoding_cpu_seconds=time.process_time() - start)
    return encoded, sizes


def find_files(places: Sequence[str]) -> list[Path]:
    """Files, and the videos below folders, sorted."""
    found = []
    for place in map(Path, places):
        found += sorted(place / name for name in walk_videos(str(place))) \
            if place.is_dir() else [place]
    return found


def readable(files: Sequence[Path], contestants: Sequence[Contestant]) -> dict[Path, str]:
    """Codecs of the files that all contestants can read; the others are named."""
    codecs = {}
    for file in files:
        try:
            codec = read_video_header(VideoSource(str(file))).codec
            for contestant in contestants:
                contestant.clips(file, np.random.default_rng(0))
            codecs[file] = codec
        except SampleError as error:
            print(f'left out: {error}')
        except Exception as error:  # whatever the stock pipeline raises
            print(f'left out: {file}: {type(error).__name__}: {str(error).splitlines()[-1][:100]}')
    return codecs


def show_decoders(result: dict) -> None:
    """Print milliseconds of CPU time a clip for each file, and the ratios."""
    names = list(next(iter(result['seconds'].values())))
    print('\nCPU milliseconds a clip (times stock)')
    for file, by_name in result['seconds'].items():
        cells = [f'{by_name[n]["cpu"] * 1e3:8.1f} ({by_name[STOCK]["cpu"] / by_name[n]["cpu"]:.2f})'
                 for n in names]
        print(f'{Path(file).name[:28]:28} {result["codecs"][file]:10}', *cells)
    print(f'{"":39}', *(f'{name[:15]:>15}' for name in names))
    for title, ratios in result['ratios'].items():
        for name, ratio in ratios.items():
            if ratio:
                print(f'{title}, {name}: {ratio["geometric_mean"]:.2f} x stock (geometric mean of '
                      f'{ratio["files"]} files; {ratio["lowest"]:.2f} to {ratio["highest"]:.2f})')
    levels = result['levels_of_fast']
    print(f'{FAST}: pixels {statistics.mean(levels.values()):.1f} of 255 away '
          f'({min(levels.values()):.1f} to {max(levels.values()):.1f} on average over a file)')
    for file, sizes in result['shards'].items():
        print(f'{Path(file).name[:28]:28} {sizes["source_megabytes"]:.2f} MB, in a shard '
              f'{sizes["megabytes"]:.2f} MB; encoding {sizes["encoding_cpu_seconds"]:.1f} CPU s')
    for name, megabytes in result['peak_megabytes'].items():
        print(f'peak memory above rest, {name}: {megabytes:.1f} MB')


def show_loaders(rows: Sequence[dict]) -> None:
    """Print the table of the loaders."""
    print('\nloaders: contestant, workers, step: clips/s, MB/s, CPU ms a clip, waiting for data')
    for row in rows:
        print(f'{row["contestant"]:20} {row["workers"]:2} {row["step_seconds"]:5.2f} s '
              f'{row["clips_per_second"]:7.1f} {row["megabytes_per_second"]:7.1f} '
              f'{row["cpu_per_clip"] * 1e3:7.1f} {row["waiting_share"]:7.1%}')


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('videos', nargs='*', help='files, or folders of them')
    parser.add_argument('--generate', action='store_true',
                        help='also a clip written here: 1080p, 10 s, one key frame in 250')
    parser.add_argument('--shards', action='store_true', help='also files encoded as for shards')
    parser.add_argument('--out', help='JSON file of all figures')
    parser.add_argument('--decoders', nargs='+', default=[AUTO, FAST, 'decord', 'isolated'],
                        choices=[AUTO, FAST, 'pyav', 'decord', 'torchcodec', 'isolated'],
                        help='beside stock and several clips (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=5, help='turns of each (%(default)s)')
    parser.add_argument('--frames', type=int, default=12, help='of a clip (%(default)s)')
    parser.add_argument('--short-side', type=int, default=268, help='pixels (%(default)s)')
    parser.add_argument('--size', type=int, default=224, help='of the crop (%(default)s)')
    parser.add_argument('--clips-per-video', type=int, default=4,
                        help='of one opening (%(default)s)')
    parser.add_argument('--workers', type=int, nargs='*', default=[1, 2],
                        help='loader workers to try; none leaves the loaders out (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=8, help='clips (%(default)s)')
    parser.add_argument('--loader-clips', type=int, default=160, help='of a run (%(default)s)')
    parser.add_argument('--step-seconds', type=float, nargs='*', default=[0.0, 0.5],
                        help='of the training steps that take the batches (%(default)s)')
    return parser


def main() -> None:
    """Measure, print, and write the JSON file."""
    parser = build_parser()
    args = parser.parse_args()
    if args.batch_size % args.clips_per_video or args.loader_clips % args.batch_size:
        parser.error('--clips-per-video must divide --batch-size, and that --loader-clips')
    with TemporaryDirectory() as folder:
        files = find_files(args.videos)
        if args.generate:
            files.append(Path(folder) / 'generated.mp4')
            generate_clip(files[-1])
        if not files:
            parser.error('no videos: name some, or --generate one')
        result = measure(args, files)
    if args.out:
        Path(args.out).write_text(json.dumps(result, indent=1) + '\n')


def measure(args: argparse.Namespace, files: Sequence[Path]) -> dict:
    """Measure everything and print it."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    shape = ClipShape(args.frames, args.short_side, args.size, args.clips_per_video)
    names = [STOCK, *args.decoders, SEVERAL]
    codecs = readable(files, [Contestant(name, shape) for name in names])
    if not codecs:
        sys.exit('none of the videos can be read by all')
    files = list(codecs)
    encoded, sizes = encode_all(files) if args.shards else ({}, {})
    if args.shards:
        names.append(SHARDS)
    contestants = [Contestant(name, shape, encoded) for name in names]
    by_file = {str(file): codec for file, codec in codecs.items()}
    seconds = measure_decoders(contestants, files, args.rounds)
    result = dict(
        machine=machine(PACKAGES), settings=vars(args), clip=asdict(shape), codecs=by_file,
        shards=sizes, seconds=seconds,
        ratios={title: {name: ratios_to_stock(seconds, name, by_file, codec) for name in names[1:]}
                for title, codec in (('H.264', 'h264'), ('all files', None))},
        levels_of_fast=levels_of_fast(shape, files),
        fast_to_auto=statistics.geometric_mean(
            s[AUTO]['cpu'] / s[FAST]['cpu'] for s in seconds.values())
        if {AUTO, FAST} <= set(names) else 0,
        several_to_one=statistics.geometric_mean(
            s[AUTO]['cpu'] / s[SEVERAL]['cpu'] for s in seconds.values()) if AUTO in names else 0,
        peak_megabytes=measure_memory(
            [name for name in names if name not in ('isolated', SHARDS)], shape, files),
        loaders=[])
    show_decoders(result)
    if result['several_to_one']:
        print(f'{shape.clips_per_video} clips of one opening: {result["several_to_one"]:.2f} x the '
              f'clips per CPU second of one')
    if result['fast_to_auto']:
        print(f'{FAST}: {result["fast_to_auto"]:.2f} x the clips per CPU second of {AUTO}')
    for workers in args.workers:
        for step_seconds in args.step_seconds:
            for contestant in contestants:
                if contestant.name not in (STOCK, AUTO, SEVERAL, SHARDS):
                    continue
                figures = run_loader(
                    contestant, files, num_workers=workers, batch_size=args.batch_size,
                    num_clips=args.loader_clips, step_seconds=step_seconds)
                result['loaders'].append(dict(
                    contestant=contestant.name, workers=workers, step_seconds=step_seconds,
                    **figures))
                show_progress(f'loaders: {contestant.name}, {workers} workers')
    if result['loaders']:
        show_loaders(result['loaders'])
    return result


if __name__ == '__main__':
    main()
