"""The same extraction on Ray: parts go to workers as these become free."""

from dataclasses import replace
from pathlib import Path

from tvtsv2_mm.apis.features.extract import (
    ExtractionConfig,
    add_what_is_asked,
    begin,
    build_beside_hash,
    extract_parts,
    read_video_list,
)
from tvtsv2_mm.apis.features.per_video import file_names
from tvtsv2_mm.apis.features.shards import FeatureStore
from tvtsv2_mm.utils.parts import Part, follow, import_ray, run_on_ray


class Worker:
    """One copy of the model; writes the parts that it is given itself.

    On a cluster all machines see ``folder``, of the store, and ``root``, that the names of videos
    are relative to.
    """

    def __init__(self, config: ExtractionConfig, folder: str, format: str, root: str) -> None:
        self.config = config
        self.store = FeatureStore(folder, format)
        self.root = root
        self.inferencer = config.build()

    def run(self, part: Part) -> int:
        """Extract and write a part; one that was written before its worker died is kept."""
        if not self.store.has_part(part.number):
            for _ in extract_parts(self.inferencer, self.store, self.root, [part], self.config):
                pass
        return len(part.items)


def extract_on_ray(source: str, folder: str, config: ExtractionConfig, *, address: str = 'local',
                   num_replicas: int = 1, gpus_per_replica: float = 0, format: str = 'npy',
                   part_size: int | None = None, retry_failed: bool = False,
                   per_video_files: bool = False,
                   show_progress: bool = True) -> tuple[int, int]:
    """Extract the features of a folder or list of videos on Ray.

    Videos, checkpoint and ``folder`` lie where all machines of the cluster see them under the same
    path. A worker that dies is started again and its part with it, three times; each part is
    written once, whole or not at all.

    Args:
        source, folder, config, format, part_size, retry_failed, per_video_files, show_progress:
            as of :func:`~tvtsv2_mm.apis.features.extract.extract`.
        address: 'local' starts Ray on this machine; else of a cluster, such as
            'ray://head:10001' or 'auto'.
        num_replicas: copies of the model.
        gpus_per_replica: GPUs of each.

    Returns:
        How many videos have features, and how many failed.

    Raises:
        ValueError: Ray is not installed, or the arguments do not fit.
    """
    import_ray()
    if num_replicas < 1:
        raise ValueError(f'there must be at least 1 replica, got {num_replicas}')
    # Workers start in a folder of their own.
    root, videos = read_video_list(str(Path(source).resolve()))
    if per_video_files:
        file_names(videos)
    folder = str(Path(folder).resolve())
    config = replace(config, weights=_absolute(config.weights),
                     config=config.config and _absolute(config.config))
    store = FeatureStore(folder, format)
    inferencer = build_beside_hash(store, config)
    with store.locked():
        parts = begin(store, config, inferencer, root, videos, part_size, retry_failed)
        follow(run_on_ray(Worker, (config, folder, format, root), parts, address=address,
                          num_replicas=num_replicas, gpus_per_replica=gpus_per_replica),
               parts, 'features', show_progress)
        counts = store.finish(videos)
    add_what_is_asked(store, config, inferencer, root, videos, per_video_files, show_progress)
    return counts


def _absolute(path: str) -> str:
    """The whole path of a file; an address, or a name in the model index, stays."""
    path_here = Path(path).expanduser()
    return str(path_here.resolve()) if path_here.exists() else path
