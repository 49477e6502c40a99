"""What tools/benchmarks/data.py measures with."""

import argparse
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from measures import peak_megabytes
from results import show_progress

from tvtsv2_mm.datasets.clips_of_video import run_transforms
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig, encode_part
from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.video.header import read_video_header
from tvtsv2_mm.video.source import VideoSource

# What OpenVideo gets beside the size.
OPTIONS: dict[str, dict] = dict(fast=dict(interpolation='fast'), decord=dict(backend='decord'),
                                isolated=dict(isolate=True))


class Contestant:
    """One way from a file to clips: 'stock', or one of data.py's WAYS."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        self.encoded: dict[Path, bytes] = {}  # files as they are in a shard
        self.num_clips = args.clips_per_video if name == 'several' else 1
        if name == 'stock':
            steps = [
                dict(type='mmaction.DecordInit', num_threads=1),
                dict(type='mmaction.UniformSample', clip_len=args.frames, num_clips=1),
                dict(type='mmaction.DecordDecode'),
                dict(type='mmaction.Resize', scale=(-1, args.short_side)),
                dict(type='mmaction.RandomCrop', size=args.size),
                dict(type='mmaction.FormatShape', input_format='NCTHW'),
                dict(type='mmaction.PackActionInputs')]
        else:
            steps = [
                dict(type='OpenVideo', short_side=args.short_side, **OPTIONS.get(name, {})),
                dict(type='SampleClipFrames', num_frames=args.frames),
                dict(type='DecodeClip'),
                dict(type='CropClip', size=args.size),
                dict(type='PackVideoText')]
        self._transforms = [TRANSFORMS.build(step) for step in steps]

    def clips(self, path: Path, seed: int = 0) -> list[dict]:
        """Make clips of a file, with random frames and crops."""
        rng = np.random.default_rng(seed)
        return run_transforms(self._transforms, [
            dict(filename=str(path), rng=rng, label=0, start_index=0, modality='RGB',
                 video_bytes=self.encoded.get(path))
            for _ in range(self.num_clips)])


def cpu_seconds() -> float:
    """CPU time of all threads of this process and of its children that live."""
    total = time.process_time()
    for children in Path('/proc/self/task').glob('*/children'):
        for child in children.read_text().split():
            for schedule in Path(f'/proc/{child}/task').glob('*/schedstat'):
                total += int(schedule.read_text().split()[0]) * 1e-9
    return total


def measure_clips(contestants: Mapping[str, Contestant], files: Sequence[Path],
                  rounds: int) -> dict[str, dict[Path, float]]:
    """Median CPU milliseconds of a clip by contestant and file; contestants take turns."""
    spent = {name: {file: [] for file in files} for name in contestants}
    for turn in range(-1, rounds):  # the first turn warms up and does not count
        for file in files:
            for name, one in contestants.items():
                before = cpu_seconds()
                one.clips(file, max(turn, 0))
                if turn >= 0:
                    spent[name][file].append((cpu_seconds() - before) * 1e3 / one.num_clips)
        show_progress(f'clips: round {turn + 1} of {rounds}')
    return {name: {file: statistics.median(own) for file, own in by_file.items()}
            for name, by_file in spent.items()}


def compare(spent: Mapping[str, Mapping[Path, float]], name: str, other: str,
            files: Sequence[Path]) -> dict[str, float]:
    """How many times as fast as another, as the geometric mean over files and its limits."""
    if name == other or other not in spent:
        return {}
    ratios = [spent[other][file] / spent[name][file] for file in files]
    return {f'speedup_{other}': statistics.geometric_mean(ratios),
            f'speedup_{other}_lowest': min(ratios), f'speedup_{other}_highest': max(ratios)}


def generate_clip(path: Path, *, width: int = 1920, height: int = 1080,
                  seconds: int = 10) -> None:
    """Write H.264 of 30 frames/s with one key frame in 250: a textured picture that moves."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 255, (160, 240, 3), np.uint8), (2400, 1600))
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, 'yuv420p', 250
        stream.options = {'preset': 'veryfast', 'crf': '28', 'sc_threshold': '0'}
        for i in range(30 * seconds):
            top, left = int(250 + 240 * np.sin(i / 40)), int(240 + 230 * np.cos(i / 30))
            picture = np.array(texture[top:top + height, left:left + width], np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())


def readable(files: Sequence[Path], contestants: Mapping[str, Contestant]) -> dict[Path, str]:
    """Codecs of the files that all contestants can read; the others are named."""
    codecs = {}
    for file in files:
        try:
            codec = read_video_header(VideoSource(str(file))).codec
            for contestant in contestants.values():
                contestant.clips(file)
            codecs[file] = codec
        except Exception as error:  # a SampleError, and whatever the stock pipeline raises
            print(f'left out: {file}: {type(error).__name__}: {str(error).splitlines()[-1][:100]}')
    return codecs


def measure(args: argparse.Namespace, files: Sequence[Path]) -> list[dict]:
    """The rows of all tables."""
    contestants = {name: Contestant(name, args) for name in ('stock', *args.ways)}
    codecs = readable(files, contestants)
    if not codecs:
        sys.exit('none of the videos can be read by all')
    files = list(codecs)
    rows: dict[Path, dict] = {}
    for file in files:
        row = rows[file] = dict(table='clips', file=file.name, codec=codecs[file],
                                source_mb=file.stat().st_size / 1e6)
        if 'shards' in contestants:
            start = time.process_time()
            data = encode_part(str(file), 0.0, float('inf'), EncodingConfig()).data
            contestants['shards'].encoded[file] = data
            row.update(encoding_cpu_seconds=time.process_time() - start, shard_mb=len(data) / 1e6)
        if {'fast', 'auto'} <= contestants.keys():
            fast, auto = (contestants[name].clips(file)[0]['inputs']['video'].float()
                          for name in ('fast', 'auto'))
            row['fast_levels'] = (fast - auto).abs().mean().item()
    spent = measure_clips(contestants, files, args.rounds)
    for file, row in rows.items():
        for name in contestants:
            row[f'{name}_ms'] = spent[name][file]
            row[f'{name}_speedup'] = spent['stock'][file] / spent[name][file]
    result = list(rows.values())
    h264 = [file for file in files if codecs[file] == 'h264']
    for name, contestant in contestants.items():
        # The clips of all files, dropped at once; the memory of 'isolated' is its child's.
        peak = {} if name == 'isolated' else dict(
            peak_mb=peak_megabytes(partial(deque, map(contestant.clips, files), 0)))
        result += [dict(table='decoding', contestant=name, codec=codec, num_files=len(chosen),
                        **compare(spent, name, 'stock', chosen),
                        **compare(spent, name, 'auto', chosen), **peak)
                   for codec, chosen in (('H.264', h264), ('all', files)) if chosen]
    return result
