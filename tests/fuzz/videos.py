"""Targets: headers and packet indexes of videos, and all readers, each in its own process."""

import resource
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.fuzz.cases import Seed, Target
from tests.grey_videos import write_grey_video
from tvtsv2_mm.video.decord_reader import import_decord
from tvtsv2_mm.video.errors import (
    DecodingTimeoutError,
    MissingVideoError,
    NotIndexableError,
    UnreadableVideoError,
)
from tvtsv2_mm.video.header import open_stream, read_orientation, read_video_header
from tvtsv2_mm.video.isolated_reader import DecodingProcess
from tvtsv2_mm.video.packet_index import read_packet_index
from tvtsv2_mm.video.source import VideoSource

_DEADLINE_S = 10.0
_CLIPS = Path(__file__).parents[1] / 'data/videos'
_REAL = {'mp4': ('part_0.mp4', 'example.mp4'), 'mov': ('rotated_90.mov', ),
         'mpg': ('grid_swwp2s.mpg', )}
_CODECS = {'mp4': 'libx264', 'mkv': 'libx264', 'webm': 'libvpx', 'avi': 'mpeg4',
           'mpg': 'mpeg1video', 'gif': 'gif', 'flv': 'flv', 'mov': 'mjpeg', 'ts': 'mpeg2video'}
_FORMATS = {'gif': 'rgb8', 'mjpeg': 'yuvj420p'}
_LARGEST_REAL = 100_000  # bytes of a real clip that are taken: the rest is damaged by being cut
_PROCESS = DecodingProcess()


def _seeds(endings: tuple[str, ...], folder: Path) -> list[Seed]:
    seeds = []
    for ending in endings:
        codec = _CODECS[ending]
        path = folder / f'v.{ending}'
        write_grey_video(path, num_frames=12, fps=25, size=(32, 48), codec=codec, gop=5,
                         pixel_format=_FORMATS.get(codec, 'yuv420p'))
        seeds += [Seed({'video': path.read_bytes()})] * 3
        seeds += [Seed({'video': (_CLIPS / name).read_bytes()[:_LARGEST_REAL]}, refused=True)
                  for name in _REAL.get(ending, ())]
    return seeds


def _source(work: Path) -> VideoSource:
    return VideoSource(str(work / 'video'), deadline=_DEADLINE_S)


def _read_header(work: Path) -> None:
    header = read_video_header(_source(work))
    assert header.height > 0 and header.width > 0 and 0 <= header.fps < float('inf'), header
    read_orientation(_source(work))


def _read_index(work: Path) -> None:
    with open_stream(_source(work)) as opened:
        index = read_packet_index(opened)
    _check_times(index.frame_starts, index.fps, index.duration)


def _check_times(starts: np.ndarray, fps: float, duration: float) -> None:
    assert len(starts) and np.isfinite(starts).all() and (np.diff(starts) >= 0).all(), starts
    assert 0 < fps < float('inf') and np.isfinite(duration) and duration >= starts[-1], (
        fps, duration)


def _read_frames(work: Path, backend: str, from_memory: bool = False) -> None:
    path = str(work / 'video')
    data = Path(path).read_bytes() if from_memory else None
    if backend == 'decord' and find_spec('decord'):
        import_decord()  # here: a process behind one that has crashed would do so, and be seen
    reader = _PROCESS.open(path, deadline=_DEADLINE_S, backend=backend, short_side=16, data=data)
    # The limit of a case is not that of all cases together.
    resource.prlimit(_PROCESS._child, resource.RLIMIT_CPU, (resource.RLIM_INFINITY, ) * 2)
    _check_times(reader.frame_starts, reader.fps, reader.duration)
    wanted = np.unique(np.linspace(0, reader.num_frames - 1, 3).astype(int))
    frames = reader.get_frames(wanted)
    assert frames.dtype == np.uint8 and frames.shape[0] == len(wanted), frames.shape
    reader.close()


_ERRORS = (UnreadableVideoError, MissingVideoError, DecodingTimeoutError)
_INDEXED, _OTHERS = ('mp4', 'mov', 'mkv', 'webm', 'flv', 'avi'), ('mpg', 'gif', 'ts', 'avi')
TARGETS = [
    Target('video_header', partial(_seeds, tuple(_CODECS)), _read_header, _ERRORS),
    *(Target(f'video_index_{name}', partial(_seeds, endings), _read_index,
             (*_ERRORS, NotIndexableError))
      for name, endings in dict(mp4=('mp4', 'mov'), matroska=('mkv', 'webm'), avi=('avi', ),
                                flv=('flv', )).items()),
    Target('reader_pyav', partial(_seeds, _INDEXED), partial(_read_frames, backend='pyav'),
           _ERRORS),
    Target('reader_sequential', partial(_seeds, _OTHERS), partial(_read_frames, backend='pyav'),
           _ERRORS),
    Target('reader_decord', partial(_seeds, _INDEXED), partial(_read_frames, backend='decord'),
           _ERRORS),
    Target('reader_of_bytes', partial(_seeds, (*_INDEXED, 'mpg')), partial(
        _read_frames, backend='auto', from_memory=True), _ERRORS),
]
