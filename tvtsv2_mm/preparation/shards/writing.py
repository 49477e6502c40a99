"""What a worker does: read the videos of some records, and write them into one shard."""

import io
import json
import math
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tvtsv2_mm.datasets.annotations import CHECKS, AnnotationError, read_record
from tvtsv2_mm.preparation.options import CutConfig, EncodingConfig
from tvtsv2_mm.preparation.shards.cutting import cut_record, narrated_parts
from tvtsv2_mm.preparation.shards.encoding import encode_part
from tvtsv2_mm.utils.files import write_atomically
from tvtsv2_mm.utils.parts import FAILURE, Part, PartStore
from tvtsv2_mm.video.errors import SampleError
from tvtsv2_mm.video.header import read_video_header
from tvtsv2_mm.video.source import VideoSource

# What the record of a shard says.
PART = dict(shard=re.compile(r'parts/\d{8}\.tar'), samples=int, bytes=int, source_bytes=int,
            failed=[FAILURE], dropped=[FAILURE])


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """What shards are made of."""

    ann_file: str  # annotation file of transcripts or captions
    videos: str  # folder that its paths are relative to
    encoding: EncodingConfig | None = None  # of the videos; None takes them as they are
    cutting: CutConfig = field(default_factory=CutConfig)  # of narrated ones, if they are encoded
    part_size: int = 500  # records of a shard; a kill costs each process at most the one it is at
    # The records are shuffled before they are dealt out, so that neighbours in the file (of one
    # channel, of one topic) do not meet in every batch.
    seed: int = 0

    def __post_init__(self) -> None:
        if self.part_size < 1:
            raise ValueError(f'part_size must be at least 1, got {self.part_size}')
        if not Path(self.videos).is_dir():
            raise FileNotFoundError(f'there is no folder of videos {self.videos}')


class ShardWorker:
    """Writes shards, each whole or not at all; the items are offsets in the annotation file.

    Args:
        config: what they are made of.
        kind: 'transcripts' or 'captions'.
        folder: of the store.
    """

    def __init__(self, config: ShardConfig, kind: str, folder: str) -> None:
        self.config = config
        self.check = CHECKS[kind]
        self.store = PartStore(folder, PART)

    def run(self, part: Part) -> int:
        """Write a part; one that was written before its worker died is kept."""
        if not self.store.has_part(part.number):
            name = f'parts/{part.number:08d}.tar'
            path = self.store.folder / name
            report: dict = dict(shard=name, samples=0, source_bytes=0, failed=[], dropped=[])
            write_atomically(path, lambda draft: self._write(draft, part, report))
            report['bytes'] = path.stat().st_size
            self.store.write_record(part.number, report)
        return len(part.items)

    def _write(self, draft: Path, part: Part, report: dict) -> None:
        with tarfile.open(draft, 'w', format=tarfile.USTAR_FORMAT) as tar:
            for offset in part.items:
                name = f'the record at byte {offset}'
                try:
                    record = read_record(self.config.ann_file, offset, self.check)
                    name = _name(record)
                    path = os.path.join(self.config.videos, record['path'])
                    for ending, video, size, cut in self._samples(path, record, report):
                        key = f'{part.number:08d}-{report["samples"]:06d}'
                        text = json.dumps(cut, ensure_ascii=False).encode()
                        _add(tar, f'{key}.{ending}', video, size)
                        _add(tar, f'{key}.json', io.BytesIO(text), len(text))
                        report['samples'] += 1
                    report['source_bytes'] += os.path.getsize(path)
                except (SampleError, AnnotationError) as error:
                    reason = error.reason if isinstance(error, SampleError) else str(error)
                    report['failed'].append(dict(video=name, reason=reason))

    def _samples(self, path: str, record: dict, report: dict
                 ) -> Iterator[tuple[str, BinaryIO, int, dict]]:
        read_video_header(VideoSource(path))  # raises where it is none
        if self.config.encoding is None:
            with open(path, 'rb') as video:
                yield _ending(path), video, os.path.getsize(path), record
            return
        # A video of which one part cannot be read is left out as a whole: so all are made first.
        parts = [encode_part(path, start, end, self.config.encoding)
                 for start, end in self._parts(record, report)]
        for part in parts:
            yield ('mp4', io.BytesIO(part.data), len(part.data),
                   cut_record(record, part.start, part.end))

    def _parts(self, record: dict, report: dict) -> list[tuple[float, float]]:
        if 'captions' in record:
            return [(record.get('start', 0.0), record.get('end', math.inf))]
        kept, short = narrated_parts(
            record.get('words', record.get('segments')), record['duration'], self.config.cutting)
        reason = f'its narrated part is shorter than {self.config.cutting.min_seconds:g} s'
        report['dropped'] += [
            dict(video=_name(record), start=round(start, 3), end=round(end, 3), reason=reason)
            for start, end in short]
        if not kept and not short:
            report['dropped'].append(dict(video=_name(record), reason='nothing is said in it'))
        return kept


def _name(record: dict) -> str:
    return record.get('id') or record['path']


def _ending(path: str) -> str:
    # A name in the shard: not whatever a video's name ends in, and not that of the record.
    ending = Path(path).suffix[1:].lower()
    return ending if ending.isascii() and ending.isalnum() and ending != 'json' else 'video'


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    tar.addfile(info, content)
