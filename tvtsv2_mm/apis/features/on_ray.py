"""The same extraction on Ray: parts go to workers as these become free."""

from dataclasses import replace
from pathlib import Path

from tvtsv2_mm.apis.features.extract import (
    ExtractionConfig,
    Part,
    describe,
    extract_parts,
    plan_parts,
    read_video_list,
    show_videos,
)
from tvtsv2_mm.apis.features.shards import FeatureStore
from tvtsv2_mm.utils.parts.workers import import_ray, run_on_ray


class Worker:
    """One copy of the model; writes the parts that it is given itself.

    Args:
        config: model and how to run it.
        folder: of the store; on a cluster all machines see it.
        format: of the shards.
        root: folder that the names of videos are relative to; likewise.
    """

    def __init__(self, config: ExtractionConfig, folder: str, format: str, root: str) -> None:
        self.config = config
        self.store = FeatureStore(folder, format)
        self.root = root
        self.inferencer = config.build()

    def run(self, part: Part) -> int:
        """Extract and write a part; a part that was written before its worker died is kept."""
        if not self.store.has_part(part.number):
            for _ in extract_parts(self.inferencer, self.store, self.root, [part], self.config):
                pass
        return len(part.videos)


def extract_on_ray(source: str, folder: str, config: ExtractionConfig, *, address: str = 'local',
                   num_replicas: int = 1, gpus_per_replica: float = 0, format: str = 'npy',
                   part_size: int = 256, retry_failed: bool = False,
                   show_progress: bool = True) -> tuple[int, int]:
    """Extract the features of a folder or list of videos on Ray.

    Videos, checkpoint and ``folder`` lie where all machines of the cluster see them under the same
    path. A worker that dies is started again and its part with it, three times; each part is
    written once, whole or not at all.

    Args:
        source: folder, or text file with one path a line (relative to the file's folder).
        folder: where the shards go.
        config: model and how to run it.
        address: 'local' starts Ray on this machine; else of a cluster, such as
            'ray://head:10001' or 'auto'.
        num_replicas: copies of the model.
        gpus_per_replica: GPUs of each.
        format: of the shards.
        part_size: videos of a shard.
        retry_failed: try again the videos that failed before.
        show_progress: draw a progress bar.

    Returns:
        How many videos have features, and how many failed.

    Raises:
        ValueError: Ray is not installed, or the arguments do not fit.
    """
    import_ray()
    if num_replicas < 1 or part_size < 1:
        raise ValueError('there must be at least 1 replica and 1 video in a part, got '
                         f'{num_replicas} and {part_size}')
    # Workers start in a folder of their own.
    root, videos = read_video_list(str(Path(source).resolve()))
    folder = str(Path(folder).resolve())
    config = replace(config, **{
        name: str(Path(path).expanduser().resolve()) for name in ('weights', 'config')
        if (path := getattr(config, name)) and Path(path).expanduser().exists()})
    store = FeatureStore(folder, format)
    with store.locked():
        store.begin(describe(config, config.build(), store))
        parts = plan_parts(store, videos, part_size, retry_failed)
        counts = run_on_ray(
            Worker, (config, folder, format, root), parts, address=address,
            num_replicas=num_replicas, gpus_per_replica=gpus_per_replica)
        for _ in show_videos(counts, sum(len(part.videos) for part in parts), show_progress):
            pass
        return store.finish(videos)
