"""Extract the features of a corpus: in one process, in several, or on Ray."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from mmengine.dist import barrier, broadcast_object_list, get_dist_info, init_dist

from tvtsv2_mm.apis.clips import Failure, list_videos
from tvtsv2_mm.apis.features.shards import FeatureStore, checkpoint_sha256
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.utils.parts import Part, cut_into_parts, follow
from tvtsv2_mm.utils.text_files import read_lines
from tvtsv2_mm.video.files import printable

# Processes wait for the slowest one at the end, however long it takes.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """What features are made with."""

    weights: str  # checkpoint
    config: str | None = None  # file; None takes what the checkpoint says
    device: str | None = None  # None takes a GPU where there is one
    dtype: str = 'float32'  # or 'float16', 'bfloat16'
    clips: str = 'protocol'  # what is seen of a video, or 'feature-script'
    frames: str | None = None  # what is shown of its frames; None takes what the config says
    batch_size: int = 8  # clips at once
    num_workers: int = 0  # decoding processes of each process

    def build(self) -> TVTSv2Inferencer:
        """Load the model."""
        return TVTSv2Inferencer(self.config, self.weights, device=self.device, dtype=self.dtype,
                                clips=self.clips, frames=self.frames, show_progress=False)


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
        raise ValueError(f'{source} is no list of videos, a text file with one path a line '
                         f'({error})') from None
    if not lines:
        raise ValueError(f'{source} lists no video')
    # ./a.mp4 is a.mp4.
    first: dict[str, str] = {}
    for where, name in lines:
        plain = os.path.normpath(name)
        if plain in first:
            raise ValueError(f'{where}: {source} lists {name} twice, first as {first[plain]}')
        first[plain] = name
    return str(path.parent), list(first.values())


def extract(source: str, folder: str, config: ExtractionConfig, *, format: str = 'npy',
            part_size: int = 256, retry_failed: bool = False, launcher: str = 'none',
            show_progress: bool = True,
            profile: AbstractContextManager | None = None) -> tuple[int, int] | None:
    """Extract the features of a folder or list of videos.

    Args:
        source: folder, or text file with one path a line (relative to the file's folder).
        folder: where the shards go; an extraction that was killed there goes on.
        config: model and how to run it.
        format: 'npy', 'safetensors' or 'parquet'.
        part_size: videos of a shard; a kill costs at most the shard that each process is at.
        retry_failed: try again the videos that failed before.
        launcher: who started the processes: 'none', 'pytorch', 'slurm' or 'mpi'. Each takes every
            n-th part.
        show_progress: draw a progress bar.
        profile: entered around the work, without the loading of the model.

    Returns:
        In the first process: how many videos have features, and how many failed.
    """
    if part_size < 1:
        raise ValueError(f'part_size must be at least 1, got {part_size}')
    if launcher != 'none':
        init_dist(launcher, backend='gloo', timeout=int(_PATIENCE.total_seconds()))
    rank, world_size = get_dist_info()
    store = FeatureStore(folder, format)
    root, videos = read_video_list(source)
    inferencer = config.build()
    with store.locked() if rank == 0 else nullcontext():
        plan: list[list[Part]] = [[]]
        if rank == 0:
            plan = [begin(store, config, inferencer, videos, part_size, retry_failed)]
        broadcast_object_list(plan)
        own = plan[0][rank::world_size]
        with profile or nullcontext():
            follow(extract_parts(inferencer, store, root, own, config), own, 'features',
                   show_progress and rank == 0)
        barrier()
        return store.finish(videos) if rank == 0 else None


def begin(store: FeatureStore, config: ExtractionConfig, inferencer: TVTSv2Inferencer,
          videos: Sequence[str], part_size: int, retry_failed: bool) -> list[Part]:
    """Begin an extraction, or go on with one; returns new parts of what no finished part holds.

    So a killed extraction goes on, and a corpus may grow: nothing finished is done again.
    """
    # What features of one folder have in common.
    store.begin(dict(
        checkpoint=Path(config.weights).name,
        checkpoint_sha256=checkpoint_sha256(store.folder, config.weights),
        dtype=config.dtype, format=store.format,
        embed_dim=inferencer.model.backbone.embed_dim,
        clip=inferencer.pipeline, normalized=True))
    done, last = set(), -1
    for part in store.parts():
        done |= {*part['videos']}
        if not retry_failed:
            done |= {failure['video'] for failure in part['failed']}
        last = part['number']
    return cut_into_parts([video for video in videos if printable(video) not in done], part_size,
                          first=last + 1)


def extract_parts(inferencer: TVTSv2Inferencer, store: FeatureStore, root: str,
                  parts: Sequence[Part], config: ExtractionConfig) -> Iterator[int]:
    """Extract parts and write each when it is whole; yields how many videos went by.

    Decoding goes on over the ends of the parts: nothing waits there.
    """
    if not parts:
        return
    names = [video for part in parts for video in part.items]
    paths = [video if '://' in video else os.path.join(root, video) for video in names]
    batches = inferencer.preprocess(paths, config.batch_size, names=names,
                                    num_workers=config.num_workers)
    by_path = {printable(path): name for path, name in zip(paths, names, strict=True)}
    open_parts = iter(parts)
    part = next(open_parts, None)
    features: dict[str, tuple[np.ndarray, str]] = {}
    failed: dict[str, Failure] = {}
    for batch in batches:
        samples, failures = inferencer.predict(batch)
        features |= {by_path[sample.filename]: (sample.video_embed.numpy(), sample.frame_spacing)
                     for sample in samples}
        for failure in failures:
            video = by_path[failure.video]
            failed[video] = Failure(video=printable(video), reason=failure.reason)
        while part is not None and {*part.items} <= features.keys() | failed.keys():
            whole = [video for video in part.items if video in features]
            rows = [features.pop(video) for video in whole]
            store.write_part(
                part.number, [printable(video) for video in whole],
                np.array([embed for embed, _ in rows]),
                [failed.pop(video) for video in part.items if video in failed],
                [spacing for _, spacing in rows])
            part = next(open_parts, None)
        yield len(batch.names) + len(batch.failures)
