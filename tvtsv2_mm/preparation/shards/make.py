"""Make WebDataset shards of a corpus: in one process, in several, or on Ray."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tvtsv2_mm.datasets.annotations import find_records
from tvtsv2_mm.preparation.shards.writing import PART, ShardConfig, ShardWorker
from tvtsv2_mm.utils.files import file_sha256, to_json, to_json_lines, write_atomically
from tvtsv2_mm.utils.parts import (
    PartStore,
    cut_into_parts,
    follow,
    import_ray,
    run_in_processes,
    run_on_ray,
)


@dataclass(frozen=True, kw_only=True)
class ShardSummary:
    """What shards hold."""

    shards: int  # their number
    samples: int  # in them
    failed: int  # records whose videos could not be read
    dropped: int  # parts or videos that were too short
    megabytes: float  # of the shards, 10**6 bytes
    source_megabytes: float  # of the videos that they were made of


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
        store.begin(dict(
            kind=kind, annotations=Path(config.ann_file).name, records=len(offsets),
            annotations_sha256=file_sha256(config.ann_file), part_size=config.part_size,
            seed=config.seed, encoding=config.encoding and asdict(config.encoding),
            cutting=asdict(config.cutting) if config.encoding else None))
        # Which records are in a part depends on nothing that may differ from run to run.
        order = np.random.default_rng(config.seed).permutation(len(offsets))
        parts = [part for part in cut_into_parts([offsets[i] for i in order], config.part_size)
                 if not store.has_part(part.number)]
        arguments = config, kind, os.path.abspath(folder)
        follow(run_in_processes(ShardWorker, arguments, parts, num_processes)
               if ray_address is None else
               run_on_ray(ShardWorker, arguments, parts, address=ray_address,
                          num_replicas=num_processes), parts, 'videos', show_progress)
        store.wait_for(part.number for part in parts)
        return _finish(store, kind)


def _kind_of(ann_file: str, first_record: int) -> str:
    with open(ann_file, 'rb') as file:
        file.seek(first_record)
        return 'captions' if b'"captions"' in file.readline() else 'transcripts'


def _finish(store: PartStore, kind: str) -> ShardSummary:
    parts = list(store.parts())
    shards = [dict(name=part['shard'], samples=part['samples'], bytes=part['bytes'])
              for part in parts if part['samples']]
    lists = {name: [entry for part in parts for entry in part[name]]
             for name in ('failed', 'dropped')}
    for name, entries in lists.items():
        write_atomically(store.folder / f'{name}.jsonl', to_json_lines(entries))
    if not shards:
        raise RuntimeError(f'not one sample could be made; see {store.folder / "failed.jsonl"} and '
                           'dropped.jsonl there')
    write_atomically(store.folder / 'index.json', to_json(dict(kind=kind, shards=shards)))
    return ShardSummary(
        shards=len(shards), samples=sum(shard['samples'] for shard in shards),
        **{name: len(entries) for name, entries in lists.items()},
        megabytes=sum(shard['bytes'] for shard in shards) / 1e6,
        source_megabytes=sum(part['source_bytes'] for part in parts) / 1e6)
