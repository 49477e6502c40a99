"""Make WebDataset shards of a corpus: in one process, in several, or on Ray."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import track

from tvtsv2_mm.datasets.annotations import find_records
from tvtsv2_mm.evaluation.results import file_sha256
from tvtsv2_mm.preparation.options import CutConfig, EncodingConfig
from tvtsv2_mm.preparation.shards.writing import PART, ShardPart, ShardWorker
from tvtsv2_mm.utils.parts.store import PartStore, to_json, to_json_lines, write_atomically
from tvtsv2_mm.utils.parts.workers import import_ray, run_in_processes, run_on_ray


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """What shards are made of.

    Attributes:
        ann_file: annotation file of transcripts or captions.
        videos: folder that its paths are relative to.
        encoding: how to encode the videos; None takes them as they are.
        cutting: how to cut narrated videos, where they are encoded.
        part_size: records of a shard; a kill costs each process at most the shard it is at.
        seed: the records are shuffled before they are dealt out, so that neighbours in the file
            (of one channel, of one topic) do not meet in every batch.
    """

    ann_file: str
    videos: str
    encoding: EncodingConfig | None = None
    cutting: CutConfig = field(default_factory=CutConfig)
    part_size: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if self.part_size < 1:
            raise ValueError(f'part_size must be at least 1, got {self.part_size}')
        if not Path(self.videos).is_dir():
            raise FileNotFoundError(f'there is no folder of videos {self.videos}')


@dataclass(frozen=True, kw_only=True)
class ShardSummary:
    """What shards hold.

    Attributes:
        shards: their number.
        samples: in them.
        failed: records whose videos could not be read.
        dropped: parts or videos that were too short.
        megabytes: of the shards, 10**6 bytes.
        source_megabytes: of the videos that they were made of.
    """

    shards: int
    samples: int
    failed: int
    dropped: int
    megabytes: float
    source_megabytes: float


def make_shards(config: ShardConfig, folder: str, *, num_processes: int = 1,
                ray_address: str | None = None, show_progress: bool = True) -> ShardSummary:
    """Write the shards of an annotation file; goes on where a run was killed.

    Args:
        config: what they are made of.
        folder: where they go: ``index.json``, ``failed.jsonl``, ``dropped.jsonl``, ``meta.json``
            and ``parts/``.
        num_processes: processes here, or workers on Ray.
        ray_address: 'local' starts Ray on this machine; else of a cluster, such as
            'ray://head:10001' or 'auto', all of whose machines see annotation file, videos and
            ``folder`` under the same paths. None does without Ray.
        show_progress: draw a progress bar.

    Raises:
        FileNotFoundError: there is no annotation file, or no folder of videos.
        ValueError: the arguments do not fit, or ``folder`` holds other shards.
        RuntimeError: a process was killed, or not one sample could be made.
    """
    if num_processes < 1:
        raise ValueError(f'there must be at least 1 process, got {num_processes}')
    if ray_address is not None:
        import_ray()
    offsets = find_records(config.ann_file, None)
    kind = _kind_of(config.ann_file, offsets[0])
    store = PartStore(folder, PART)
    with store.locked():
        store.begin(_describe(config, kind, len(offsets)))
        parts = _plan(store, config, offsets)
        arguments = config, kind, os.path.abspath(folder)
        counts = run_in_processes(ShardWorker, arguments, parts, num_processes
                                  ) if ray_address is None else run_on_ray(
            ShardWorker, arguments, parts, address=ray_address, num_replicas=num_processes)
        total = sum(len(part.offsets) for part in parts)
        for _ in track(_one_by_one(counts), total=total, description='videos',
                       disable=not show_progress):
            pass
        return _finish(store, kind)


def _kind_of(ann_file: str, first_record: int) -> str:
    with open(ann_file, 'rb') as file:
        file.seek(first_record)
        return 'captions' if b'"captions"' in file.readline() else 'transcripts'


def _describe(config: ShardConfig, kind: str, num_records: int) -> dict:
    return dict(kind=kind, annotations=Path(config.ann_file).name, records=num_records,
                annotations_sha256=file_sha256(config.ann_file), part_size=config.part_size,
                seed=config.seed, encoding=config.encoding and asdict(config.encoding),
                cutting=asdict(config.cutting) if config.encoding else None)


def _plan(store: PartStore, config: ShardConfig, offsets: list[int]) -> list[ShardPart]:
    """The parts that are not finished; which records are in a part depends on nothing else."""
    order = np.random.default_rng(config.seed).permutation(len(offsets))
    starts = range(0, len(offsets), config.part_size)
    return [ShardPart(number=number, offsets=[offsets[i] for i in
                                              order[start:start + config.part_size]])
            for number, start in enumerate(starts) if not store.has_part(number)]


def _one_by_one(counts: Iterator[int]) -> Iterator[int]:
    for count in counts:
        yield from range(count)


def _finish(store: PartStore, kind: str) -> ShardSummary:
    parts = list(store.parts())
    shards = [dict(name=part['shard'], samples=part['samples'], bytes=part['bytes'])
              for part in parts if part['samples']]
    failed = [failure for part in parts for failure in part['failed']]
    dropped = [drop for part in parts for drop in part['dropped']]
    write_atomically(store.folder / 'failed.jsonl', to_json_lines(failed))
    write_atomically(store.folder / 'dropped.jsonl', to_json_lines(dropped))
    if not shards:
        raise RuntimeError(f'not one sample could be made; see {store.folder / "failed.jsonl"} and '
                           'dropped.jsonl there')
    write_atomically(store.folder / 'index.json', to_json(dict(kind=kind, shards=shards)))
    return ShardSummary(
        shards=len(shards), samples=sum(shard['samples'] for shard in shards),
        failed=len(failed), dropped=len(dropped),
        megabytes=sum(shard['bytes'] for shard in shards) / 1e6,
        source_megabytes=sum(part['source_bytes'] for part in parts) / 1e6)
