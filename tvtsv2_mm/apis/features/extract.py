"""Extract the features of a corpus: in one process, in several, or on Ray."""

import logging
import math
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import barrier, broadcast_object_list, get_dist_info, init_dist
from mmengine.logging import print_log

from tvtsv2_mm.apis.clips import Failure, list_videos
from tvtsv2_mm.apis.features.per_video import FOLDER, file_names, write_per_video
from tvtsv2_mm.apis.features.shards import FeatureStore, checkpoint_sha256, stamp_of
from tvtsv2_mm.apis.features.source import write_source
from tvtsv2_mm.apis.features.speech import SPEECH, embed_speech
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.windows import Windows
from tvtsv2_mm.models.layers.cpu.products import slowdown
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import read_json_lines
from tvtsv2_mm.utils.parts import FAILURE, Part, cut_into_parts, follow
from tvtsv2_mm.utils.text_files import read_lines
from tvtsv2_mm.video.files import printable

# Processes wait for the slowest one at the end, however long it takes.
_PATIENCE = timedelta(days=30)

PART_SIZE, WINDOWS_PART_SIZE = 256, 16  # videos


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """What features are made with."""

    weights: str  # checkpoint
    config: str | None = None  # file; None takes what the checkpoint says
    device: str | None = None  # None takes a GPU where there is one
    dtype: str = 'float32'  # or 'float16', 'bfloat16'
    clips: str = 'protocol'  # what is seen of a video, or 'feature-script'
    frames: str | None = None  # what is shown of its frames; None takes what the config says
    windows: Windows | None = None  # one vector for each; None: one a video
    fps: float | None = None  # frames a second; None: as many of each clip as the model takes
    batch_size: int | None = None  # clips at once; None: 8, on a CPU 2
    num_workers: int = 0  # decoding processes of each process

    def build(self) -> TVTSv2Inferencer:
        """Load the model.

        Raises:
            ValueError: an option is out of range, or does not go with another one.
        """
        if self.fps is not None and self.windows is None:
            raise ValueError('frames are taken by their rate (fps) from windows alone: of a whole '
                             'video, the model would see its middle')
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f'fps must be positive frames a second, got {self.fps:g}')
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {self.batch_size}')
        inferencer = TVTSv2Inferencer(
            self.config, self.weights, device=self.device, dtype=self.dtype, clips=self.clips,
            frames=self.frames, fps=self.fps, show_progress=False)
        if inferencer.device.type == 'cpu' and inferencer.dtype != torch.float32:
            times = slowdown(inferencer.dtype)
            if times > 1.2:
                warnings.warn(
                    f'this CPU takes {times:.1f} times as long for products in {self.dtype} as in '
                    'float32, which is more exact too: leave --dtype out', stacklevel=2)
        if self.fps is not None and self.windows is not None:
            wanted, taken = self.fps * self.windows.seconds, inferencer.num_frames
            if wanted > taken + 1e-6:
                raise ValueError(f'{self.fps:g} frames a second of {self.windows.seconds:g} s are '
                                 f'{wanted:g}, and the model takes {taken}: it would not see the '
                                 'rest')
        return inferencer


def read_video_list(source: str) -> tuple[str, list[str]]:
    """List the videos of a folder, or of a text file with one path a line.

    Returns:
        The folder that the names are relative to, and the names. Each name is there once.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: a video is listed twice, or none is.
    """
    path = Path(source)
    if path.is_dir():
        return source, list_videos(source)
    if not path.is_file():
        raise FileNotFoundError(f'there is no folder of videos and no list {source}')
    try:
        lines = list(read_lines(path))
    except ValueError as error:
        raise UserFileError(f'{source} is no list of videos, a text file with one path a line '
                            f'({error})') from None
    if not lines:
        raise UserFileError(f'{source} lists no video')
    # ./a.mp4 is a.mp4.
    first: dict[str, str] = {}
    for where, name in lines:
        plain = os.path.normpath(name)
        if plain in first:
            raise UserFileError(f'{where}: {source} lists {name} twice, first as {first[plain]}')
        first[plain] = name
    return str(path.parent), list(first.values())


def extract(source: str, folder: str, config: ExtractionConfig, *, format: str = 'npy',
            part_size: int | None = None, retry_failed: bool = False, launcher: str = 'none',
            per_video_files: bool = False, show_progress: bool = True,
            profile: AbstractContextManager | None = None) -> tuple[int, int] | None:
    """Extract the features of a folder or list of videos.

    Args:
        source: folder, or text file with one path a line (relative to the file's folder).
        folder: where the shards go; an extraction that was killed there goes on.
        config: model and how to run it.
        format: 'npy', 'safetensors' or 'parquet'.
        part_size: videos of a shard; a kill costs at most the shard that each process is at. None:
            256, or with windows 16.
        retry_failed: try again the videos that failed before.
        launcher: who started the processes: 'none', 'pytorch', 'slurm' or 'mpi'. Each takes every
            n-th part.
        per_video_files: write a file of each video too (see ``write_per_video``).
        show_progress: draw a progress bar.
        profile: entered around the work, without the loading of the model.

    Returns:
        In the first process: how many videos have features, and how many failed.
    """
    if launcher != 'none':
        init_dist(launcher, backend='gloo', timeout=int(_PATIENCE.total_seconds()))
    rank, world_size = get_dist_info()
    store = FeatureStore(folder, format)
    root, videos = read_video_list(source)
    if per_video_files:
        file_names(videos)
    inferencer = build_beside_hash(store, config) if rank == 0 else config.build()
    with store.locked() if rank == 0 else nullcontext():
        plan: list[list[Part]] = [[]]
        if rank == 0:
            plan = [begin(store, config, inferencer, root, videos, part_size, retry_failed)]
        broadcast_object_list(plan)
        own = plan[0][rank::world_size]
        with profile or nullcontext():
            follow(extract_parts(inferencer, store, root, own, config), own, 'features',
                   show_progress and rank == 0)
        barrier()
        if rank:
            return None
        counts = store.finish(videos)
    add_what_is_asked(store, config, inferencer, root, videos, per_video_files, show_progress)
    return counts


def build_beside_hash(store: FeatureStore, config: ExtractionConfig) -> TVTSv2Inferencer:
    """Load the model; meanwhile its file is hashed, and the hash kept in the store."""
    with ThreadPoolExecutor(1) as beside:
        beside.submit(checkpoint_sha256, store.folder, config.weights)
        return config.build()


def add_what_is_asked(store: FeatureStore, config: ExtractionConfig, inferencer: TVTSv2Inferencer,
                      root: str, videos: Sequence[str], per_video_files: bool,
                      show_progress: bool) -> None:
    """What a finished extraction gets: a file of each video, and with windows what is said."""
    if config.windows is not None and inferencer.model.neck is not None:
        speech = FeatureStore(store.folder / SPEECH, store.format)
        unread = {row['video'] for row in read_json_lines(store.folder / 'failed.jsonl', FAILURE)}
        found, failed = embed_speech(
            speech, root, [video for video in videos if printable(video) not in unread],
            inferencer, made_with(store, config), ends=_ends(store, config.windows),
            show_progress=show_progress)
        if show_progress and found + failed:
            print(f'{found} transcripts in {speech.folder}' + (
                f'; {failed} cannot be read, see {speech.folder}/failed.jsonl' if failed else ''))
    if per_video_files:
        write_per_video(store.folder)
    elif (store.folder / FOLDER).is_dir():
        print_log(f'{store.folder / FOLDER} is as an earlier run left it: --per-video-files renews '
                  'it', 'current', logging.WARNING)


def _ends(store: FeatureStore, windows: Windows) -> dict[str, float]:
    """Seconds at which the videos end; at the latest, if windows lie apart."""
    gap = max(windows.stride - windows.seconds, 0.0)
    return {row['video']: row['windows'][-1][1] + gap
            for row in read_json_lines(store.folder / 'index.jsonl', dict(video=str))}


def made_with(store: FeatureStore, config: ExtractionConfig) -> dict[str, Any]:
    """What features and passages have in common."""
    return dict(checkpoint=Path(config.weights).name, dtype=config.dtype, format=store.format,
                checkpoint_sha256=checkpoint_sha256(store.folder, config.weights))


def begin(store: FeatureStore, config: ExtractionConfig, inferencer: TVTSv2Inferencer, root: str,
          videos: Sequence[str], part_size: int | None, retry_failed: bool) -> list[Part]:
    """Begin an extraction, or go on with one; returns new parts of what no finished part holds.

    So a killed extraction goes on, and a corpus may grow and change: nothing finished is done
    again, but of a file that has another size or time. Of one that is not there now, what was made
    of it stays: a disk may be away for a while.
    """
    if part_size is None:
        part_size = PART_SIZE if config.windows is None else WINDOWS_PART_SIZE
    if part_size < 1:
        raise ValueError(f'part_size must be at least 1, got {part_size}')
    # What features of one folder have in common.
    windows = {} if config.windows is None else dict(windows=vars(config.windows))
    store.begin(dict(made_with(store, config), embed_dim=inferencer.model.backbone.embed_dim,
                     clip=inferencer.pipeline, normalized=True, **windows))
    write_source(store.folder, root)
    done, last = store.done(retry_failed=retry_failed)
    # Of files that have a stamp.
    now = {video: stamp_of(path_of(root, video)) for video in videos
           if done.get(printable(video)) is not None}
    if gone := [video for video, stamp in now.items() if stamp is None and done[printable(video)]]:
        print_log(f'{len(gone)} files are not there now, the first is {printable(gone[0])}: what '
                  f'{store.folder} has of them stays', 'current', logging.WARNING)
    return cut_into_parts(
        [video for video in videos if (name := printable(video)) not in done
         or now.get(video) not in (None, done[name])],
        part_size, first=last + 1)


def path_of(root: str, video: str) -> str:
    """Where a video of a list is: its names are relative to a folder, or addresses."""
    return video if '://' in video else os.path.join(root, video)


def extract_parts(inferencer: TVTSv2Inferencer, store: FeatureStore, root: str,
                  parts: Sequence[Part], config: ExtractionConfig) -> Iterator[int]:
    """Extract parts and write each when it is whole; yields how many videos went by.

    Decoding goes on over the ends of the parts: nothing waits there.
    """
    if not parts:
        return
    names = [video for part in parts for video in part.items]
    paths = [path_of(root, video) for video in names]
    stamps = {printable(name): stamp for name, path in zip(names, paths, strict=True)
              if (stamp := stamp_of(path)) is not None}
    batches = inferencer.preprocess(paths, config.batch_size, names=names, windows=config.windows,
                                    num_workers=config.num_workers)
    by_path = {printable(path): name for path, name in zip(paths, names, strict=True)}
    open_parts = iter(parts)
    part = next(open_parts, None)
    clips: dict[str, list[_Clip]] = defaultdict(list)
    whole: set[str] = set()
    failed: dict[str, Failure] = {}
    gone_by = 0
    for batch in batches:
        samples, failures = inferencer.predict(batch)
        for failure in failures:
            video = by_path[failure.video]
            failed.setdefault(video, Failure(video=printable(video), reason=failure.reason))
            clips.pop(video, None)
        for sample in samples:
            if (video := by_path[sample.filename]) not in failed:
                clips[video].append(_Clip(sample.video_embed.numpy(), sample.frame_spacing,
                                          sample.get('span')))
        ended = batch.ended if config.windows else batch.names
        whole |= {by_path[name] for name in ended} - failed.keys()
        while part is not None and {*part.items} <= whole | failed.keys():
            _write(store, part, clips, failed, stamps)
            part = next(open_parts, None)
        yield len(whole) + len(failed) - gone_by
        gone_by = len(whole) + len(failed)


class _Clip(NamedTuple):
    """What is kept of a clip, or window."""

    embed: np.ndarray
    spacing: str
    span: tuple[float, float] | None  # seconds


def _write(store: FeatureStore, part: Part, clips: dict[str, list[_Clip]],
           failed: dict[str, Failure], stamps: dict[str, list[int]]) -> None:
    """Write a part, and forget its clips."""
    found = {video: clips.pop(video) for video in part.items if video not in failed}
    rules = [{clip.spacing for clip in own} for own in found.values()]
    spans = [[clip.span and [round(second, 3) for second in clip.span] for clip in own]
             for own in found.values()]
    store.write_part(
        part.number, [printable(video) for video in found],
        np.array([clip.embed for own in found.values() for clip in own]),
        [failed[video] for video in part.items if video in failed],
        [rule.pop() if len(rule) == 1 else 'mixed' for rule in rules],
        stamps={name: stamps[name] for name in map(printable, part.items) if name in stamps},
        **{} if any(own == [None] for own in spans) else dict(windows=spans))
