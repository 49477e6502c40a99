"""From what a user gives (files, folders, addresses, bytes, arrays) to clips for the model."""

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from mmcv.transforms import Compose
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.fileio import get_file_backend, get_local_path
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader, Dataset

from tvtsv2_mm.checkpoints.model_config import CLIP_TRANSFORMS
from tvtsv2_mm.choices import CLIP_KINDS, FRAMES, NUM_FRAMES
from tvtsv2_mm.datasets.transforms import DecodeClip, OpenVideo, SampleClipFrames
from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.tokenizer import TextTokenizer
from tvtsv2_mm.video.base_reader import VideoReader
from tvtsv2_mm.video.errors import SampleError
from tvtsv2_mm.video.files import VIDEO_SUFFIXES, is_video_name, printable, walk_videos
from tvtsv2_mm.video.frame_scaling import FrameScaling

Video = str | os.PathLike | bytes | np.ndarray | VideoReader


class VideoError(UserFileError, RuntimeError):
    """A video of the user cannot be read, or embedded; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A video that could not be read: its name as the user gave it, and what is wrong with it."""

    video: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class EndOfVideo:
    """All clips of a video have come: so many."""

    clips: int


@dataclass(frozen=True, kw_only=True)
class ClipBatch:
    """Clips for ``model.test_step``, their names in the order that was asked, and what failed.

    ``data`` is None where there is no clip. ``ended`` are the videos of which several clips are
    taken that end here, and how many clips each had.
    """

    names: list[str]
    data: dict | None
    failures: list[Failure]
    ended: dict[str, int] = field(default_factory=dict)


class ArrayReader(VideoReader):
    """Frames in memory, uint8 (T, H, W, 3) in RGB, as an open video of one frame a second.

    They are given out scaled; 'fast' is bicubic here.
    """

    def __init__(self, frames: np.ndarray, name: str, scaling: FrameScaling) -> None:
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
            raise ValueError(f'{name}: a video array must be uint8 (T, H, W, 3) in RGB, got '
                             f'{frames.dtype} {frames.shape}')
        super().__init__(name, np.arange(len(frames), dtype=np.float64), fps=1.0,
                         duration=float(len(frames)))
        self.size = scaling.size_of(*frames.shape[1:3])
        self._scaling = scaling
        self._frames = frames

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Copies of frames, uint8 (len(indices), H, W, 3), at ``size``."""
        return np.stack([self._scaling.scale(self._frames[index], self.size)
                         for index in indices])

    def close(self) -> None:
        """Nothing to free: the frames are the caller's."""


class ClipSource(Dataset):
    """Videos as samples; one that cannot be read gives a :class:`Failure`.

    Args:
        videos: paths, addresses (``file://``, and what mmengine.fileio reads), the bytes of files,
            arrays, or videos that are open at the size of the transforms. Each is asked for when
            its turn comes.
        transforms: of :func:`clip_transforms`.
        texts: K texts of each video, which travel with it as tokens of ``tokenizer``.
        tokenizer: given with ``texts``.
        names: of the videos for the transforms (``sample_id``), where they are not the paths.
    """

    def __init__(self, videos: Sequence[Video], transforms: Sequence[dict],
                 texts: Sequence[Sequence[str]] | None = None,
                 tokenizer: TextTokenizer | None = None,
                 names: Sequence[str] | None = None) -> None:
        self.videos = videos
        self.texts = texts
        self.tokenizer: Any = tokenizer  # given where there are texts
        self.names = names
        self._opening, *rest = build_clip_transforms(transforms)
        self._rest = Compose(rest)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[str, dict | Failure]:
        """Return the name and the packed sample, or the failure."""
        video = self.videos[index]
        name = name_of(video, index)
        results: dict[str, Any] = dict(
            sample_id=self.names[index] if self.names else name, rng=np.random.default_rng(index))
        if self.texts is not None:
            texts = self.texts[index]
            tokens, num_cut = self.tokenizer.tokenize(texts)
            results.update(texts=texts, tokens=tokens, num_cut_texts=num_cut,
                           vocabulary=self.tokenizer.vocabulary)
        try:
            with opened(video, name, self._opening) as of_video:
                return name, self._rest(results | of_video)
        except (SampleError, OSError) as error:
            return name, failure_of(name, error)


@contextmanager
def opened(video: Video, name: str, opening: OpenVideo) -> Generator[dict[str, Any]]:
    """What an open video adds to a sample: its reader, and what that knows."""
    if isinstance(video, np.ndarray | VideoReader):
        reader = ArrayReader(video, name, opening.scaling) if isinstance(
            video, np.ndarray) else video
        yield dict(filename=name, video_reader=reader, total_frames=reader.num_frames,
                   fps=reader.fps, duration=reader.duration)
    elif isinstance(video, bytes):
        yield opening.transform(dict(filename=name, video_bytes=video))
    else:
        with local_file(os.fspath(video)) as path:
            yield opening.transform(dict(filename=path))


def failure_of(name: str, error: SampleError | OSError) -> Failure:
    """What is told of a video that cannot be read."""
    return Failure(video=name, reason=error.reason if isinstance(error, SampleError) else
                   str(error))


def name_of(video: Video, index: int) -> str:
    """Name of a video in results: its path, or its place among the inputs."""
    if isinstance(video, VideoReader):
        return video.path
    if isinstance(video, bytes | np.ndarray):
        return f'{"bytes" if isinstance(video, bytes) else "array"} {index}'
    return printable(os.fspath(video))


def local_file(address: str) -> AbstractContextManager[str]:
    """Have a file at hand: itself, or a temporary copy of what has an address elsewhere."""
    if address.startswith('file://'):
        return nullcontext(unquote(urlsplit(address).path))
    if '://' not in address:
        return nullcontext(address)
    return get_local_path(address)


def list_videos(folder: str) -> list[str]:
    """Paths of all videos below a folder (by their suffix), sorted, relative to the folder.

    Raises:
        FileNotFoundError: no such folder, or no video in it.
    """
    backend = get_file_backend(folder)
    if not backend.isdir(folder):
        raise FileNotFoundError(f'there is no folder {folder}')
    found = sorted(filter(is_video_name, backend.list_dir_or_file(
        folder, list_dir=False, recursive=True)) if '://' in folder else walk_videos(folder))
    if not found:
        raise FileNotFoundError(f'there is no video below {folder} (a file is taken for one by its '
                                f'suffix: {" ".join(sorted(VIDEO_SUFFIXES))})')
    return found


def clip_transforms(cfg: ConfigDict, clips: str = 'protocol', frames: str | None = None,
                    fps: float | None = None) -> list[dict]:
    """The transforms that make clips for a model, of videos of any size.

    Args:
        cfg: config of the model.
        clips: 'protocol': as the config's evaluation does it; without a data set in the config, as
            the release does (CLIP itself for a model without time attention), with the sizes of
            the model. A config whose videos have the model's size already gets the scaling and the
            crop that others need. 'feature-script': as the release's script for features: frames
            from the first to the last, squeezed into a square.
        frames: what is shown of the chosen frames (see SampleClipFrames); None as the config says.
        fps: frames a second, instead of as many as the model takes in equal intervals.

    Raises:
        ValueError: ``clips`` is neither, there is no such ``frames``, or these clips are not taken
            by their rate.
    """
    if clips not in CLIP_KINDS:
        raise ValueError(f'clips must be one of {CLIP_KINDS}, not {clips!r}')
    if frames not in (None, *FRAMES):
        raise ValueError(f'frames must be one of {FRAMES}, not {frames!r}')
    backbone = cfg.model.backbone
    num_frames = backbone.get('num_frames', NUM_FRAMES)
    size = backbone.get('image_size', 224)
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    dataset = loader.get('dataset', {})
    chosen = {transform['type']: dict(transform) for transform in dataset.get('pipeline', [])
              if transform['type'] in CLIP_TRANSFORMS}
    if clips == 'feature-script':
        chosen = dict(
            OpenVideo=dict(short_side=size, interpolation='bilinear', keep_ratio=False),
            SampleClipFrames=dict(num_frames=num_frames, mode='ends'))
    elif 'OpenVideo' not in chosen or 'SampleClipFrames' not in chosen:
        is_clip = backbone.type.endswith('FramewiseViT')
        chosen = dict(
            OpenVideo=dict(short_side=size, interpolation='bicubic') if is_clip else
            dict(short_side=int(1.2 * size), interpolation='nearest'),
            SampleClipFrames=dict(num_frames=num_frames, mode='middle'),
            DecodeClip=dict(short_clip='repeat_last' if is_clip else 'black'))
    elif chosen['OpenVideo'].get('short_side') is None:
        chosen['OpenVideo']['short_side'] = size
    # Said in full, for what records them.
    chosen['OpenVideo'].setdefault('interpolation', OpenVideo.interpolation)
    chosen['SampleClipFrames'].setdefault('spacing', SampleClipFrames.spacing)
    if fps is not None:
        sampling: dict[str, Any] = chosen['SampleClipFrames']
        if sampling.get('mode') != 'middle' or sampling.get('num_clips', 1) != 1:
            raise ValueError('frames by their rate (fps) are taken in mode middle, one clip of a '
                             f'video, and not as these clips are: {sampling}')
        sampling.update(fps=fps, spacing='auto')
    if frames is not None:
        chosen['SampleClipFrames']['frames'] = frames
    if chosen['SampleClipFrames'].get('frames') == SampleClipFrames.frames:
        del chosen['SampleClipFrames']['frames']  # as records of earlier versions say it
    chosen.setdefault('DecodeClip', {}).setdefault('short_clip', DecodeClip.short_clip)
    crop = chosen.get('CropClip', {}).get('mode')
    chosen['CropClip'] = dict(size=size, mode='three' if crop == 'three' else 'center')
    return [*(dict(chosen[name], type=name) for name in CLIP_TRANSFORMS),
            dict(type='PackVideoText')]


def build_clip_transforms(transforms: Sequence[dict]) -> list[Any]:
    """Build what :func:`clip_transforms` says; the first one opens the video."""
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        return [TRANSFORMS.build(transform) for transform in transforms]


def iterate_clips(source: Dataset, *, batch_size: int,
                  num_workers: int = 0) -> Iterable[ClipBatch]:
    """Batches of clips in the order of the source; decoding runs in the workers."""
    if batch_size < 1 or num_workers < 0:
        raise ValueError('batch_size must be at least 1 and num_workers at least 0, '
                         f'got {batch_size} and {num_workers}')
    return DataLoader(source, batch_size=batch_size, num_workers=num_workers,
                      collate_fn=_collate,
                      multiprocessing_context='fork' if num_workers else None)


def _collate(items: list[tuple[str, dict | Failure | EndOfVideo]]) -> ClipBatch:
    whole = [(name, item) for name, item in items if isinstance(item, dict)]
    return ClipBatch(
        names=[name for name, _ in whole],
        data=pseudo_collate([item for _, item in whole]) if whole else None,
        failures=[item for _, item in items if isinstance(item, Failure)],
        ended={name: item.clips for name, item in items if isinstance(item, EndOfVideo)})
