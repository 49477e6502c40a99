"""A soak: the data path of training over a corpus with hostile videos; does memory stay flat?

    python -m tests.soak [--minutes 30]

A data loader with two workers, each with its isolated decoder, reads captioned videos; one in five
is a copy that was changed at random (see fuzz/mutations.py). Half of the corpus has a quarantine,
half meets each hostile video again in every epoch. Resident memory, descriptors and processes are
read from /proc once a second and told with the slope of the memory and its 95 % interval.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from scipy.stats import t as student

from tests.fuzz.mutations import mutate
from tests.grey_videos import write_grey_video
from tvtsv2_mm.utils.files import to_json, to_json_lines
from tvtsv2_mm.video.errors import cause_of

VIDEOS = Path(__file__).parent / 'data/videos'
HOSTILE_SHARE = 0.2
_LINES = 2000  # of the annotations: an epoch
_DISTINCT = 1000  # hostile videos, 100 MB
_WARM_UP = 0.25  # of the time: caches fill, workers meet the largest videos
_BLOCKS = 12  # means of blocks of the rest are nearly independent of each other
_EVERY_S = 1.0
_KINDS = ('main', 'workers', 'decoders')
_PIPELINE = [
    dict(type='OpenVideo', short_side=64, isolate=True, deadline=10.0),
    dict(type='SampleClipFrames', num_frames=8),
    dict(type='DecodeClip'),
    dict(type='CropClip', mode='random', size=56),
    dict(type='PackVideoText'),
]


@dataclass
class SoakResult:
    """What a soak has seen; memory in MB, its slope in MB a minute."""

    minutes: float
    samples: int = 0  # that reached training
    hostile: int = 0  # samples drawn that were skipped, each a hostile video
    causes: dict[str, int] = field(default_factory=dict)
    resident: dict[str, float] = field(default_factory=dict)  # at the end, of all of a kind
    slope: dict[str, list[float]] = field(default_factory=dict)  # its value and its 95 % interval
    descriptors: dict[str, int] = field(default_factory=dict)  # how many more at the end
    processes_left: int = 0  # behind the end of the loader
    shared_memory_left: int = 0  # files of /dev/shm


def write_corpus(folder: Path, lines: int, distinct: int) -> list[Path]:
    """Videos and two annotation files; one in five lines names one of the hostile videos."""
    rng = Random(0)
    (folder / 'videos').mkdir(parents=True)
    good = {path.name: path.read_bytes() for path in sorted(VIDEOS.iterdir())}
    for ending, codec in (('mkv', 'libx264'), ('avi', 'mpeg4'), ('webm', 'libvpx')):
        name = f'grey.{ending}'
        good[name] = Path(write_grey_video(folder / name, codec=codec)).read_bytes()
    for name, content in good.items():
        (folder / 'videos' / name).write_bytes(content)
    hostile = []
    for number in range(distinct):
        name = rng.choice(sorted(good))
        [content] = mutate({name: good[name]}, Random(f'soak:{number}')).values()
        hostile.append(f'{number:05d}_{name}')
        (folder / 'videos' / hostile[-1]).write_bytes(content or b'')
    names = [rng.choice(hostile if rng.random() < HOSTILE_SHARE else sorted(good))
             for _ in range(lines)]
    files = []
    for number, part in enumerate((names[::2], names[1::2])):
        files.append(folder / f'{number}.jsonl')
        files[-1].write_bytes(to_json_lines(dict(path=name, captions=['a video']) for name in part))
    return files


def soak(minutes: float, folder: Path, num_workers: int = 2) -> SoakResult:
    """Read for so many minutes; ``folder`` is empty."""
    seconds = 60 * minutes
    own: set[int] = set()
    others = set(_children(os.getpid()))
    files = write_corpus(folder, lines=_LINES, distinct=min(_DISTINCT, 20 + int(seconds)))
    init_default_scope('tvtsv2_mm')
    torch.set_num_threads(1)
    common = dict(type='CaptionVideoDataset', data_prefix=dict(video=str(folder / 'videos')),
                  pipeline=_PIPELINE)
    loader = Runner.build_dataloader(dict(
        batch_size=4, num_workers=num_workers, persistent_workers=True,
        sampler=dict(type='SeededSampler', shuffle=True),
        dataset=dict(type='ConcatDataset', datasets=[
            dict(common, ann_file=str(files[0]), quarantine=str(folder / 'quarantine.jsonl')),
            dict(common, ann_file=str(files[1]))])), seed=0)
    result, causes = SoakResult(minutes), Counter()
    times: list[float] = []
    readings: list[dict[str, float]] = []
    descriptors: list[dict[str, int]] = []
    start, epoch = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        loader.sampler.set_epoch(epoch)
        epoch += 1
        for batch in loader:
            result.samples += len(batch['data_samples'])
            for sample in batch['data_samples']:
                for record in sample.get('skipped') or ():
                    causes[cause_of(record['reason']).split(' (')[0]] += 1
            now = time.monotonic() - start
            if not times or now > times[-1] + _EVERY_S:
                members = _members(others)
                own.update(*members.values())
                times.append(now)
                readings.append({kind: _megabytes(own) for kind, own in members.items()})
                descriptors.append({kind: _descriptors(own) for kind, own in members.items()})
            if now > seconds:
                break
    result.hostile, result.causes = causes.total(), dict(causes.most_common())
    warm = next(number for number, now in enumerate(times) if now >= _WARM_UP * times[-1])
    for kind in _KINDS:
        series = np.array([reading[kind] for reading in readings[warm:]])
        result.resident[kind] = round(float(series[-1]), 1)
        result.slope[kind] = slope(np.array(times[warm:]) / 60, series)
        opened = [count[kind] for count in descriptors[warm:]]
        third = max(len(opened) // 3, 1)
        result.descriptors[kind] = max(opened[-third:]) - max(opened[:third])
    del loader.dataset  # the data sets' own decoders
    iterator, loader._iterator = loader._iterator, None
    iterator._shutdown_workers()
    del iterator, loader, batch
    result.processes_left = len(_settled(
        lambda: [child for child in _children(os.getpid()) if child not in others]))
    result.shared_memory_left = len(_settled(
        lambda: [name for name in os.listdir('/dev/shm')  # torch_PROCESS_...
                 if name.startswith(tuple(f'torch_{process}_' for process in own))]))
    return result


def slope(minutes: np.ndarray, values: np.ndarray) -> list[float]:
    """The slope of a line through the means of blocks, and its 95 % interval."""
    blocks = min(_BLOCKS, len(values))
    x, y = (np.array([part.mean() for part in np.array_split(own, blocks)])
            for own in (minutes, values))
    if blocks < 3:
        return [0.0, float('-inf'), float('inf')]
    centred = x - x.mean()
    found = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - found * centred
    error = float(np.sqrt(rest @ rest / (blocks - 2) / (centred @ centred)))
    reach = float(student.ppf(0.975, blocks - 2)) * error
    return [round(value, 3) for value in (found, found - reach, found + reach)]


def _settled(read: Any) -> Any:
    """What is left when things had 5 s to end."""
    for _ in range(50):
        if not read():
            break
        time.sleep(0.1)
    return read()


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(
            f'/proc/{process}/task/{process}/children').read_text().split()]
    except FileNotFoundError:
        return []


def _members(others: Collection[int]) -> dict[str, list[int]]:
    workers = [child for child in _children(os.getpid()) if child not in others]
    return dict(main=[os.getpid()], workers=workers,
                decoders=[child for worker in workers for child in _children(worker)])


def _megabytes(processes: list[int]) -> float:
    """What is resident, of all together; what is shared counts for each."""
    total = 0
    for process in processes:
        try:
            text = Path(f'/proc/{process}/status').read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in text.splitlines()
                     if line.startswith('VmRSS'))
    return total / 1024


def _descriptors(processes: list[int]) -> int:
    total = 0
    for process in processes:
        try:
            total += len(os.listdir(f'/proc/{process}/fd'))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def main() -> None:
    """Run, print the figures, end with 1 if anything grows or is left."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(args.minutes, Path(folder), args.workers)
    print(to_json(asdict(result)).decode())
    # A leak: the slope is above 0 for sure, and large enough to end a run of days.
    grows = [kind for kind, (_, low, _) in result.slope.items() if low > 0.5]
    sys.exit(bool(grows or result.processes_left or result.shared_memory_left
                  or any(more > 4 for more in result.descriptors.values())))


if __name__ == '__main__':
    main()
