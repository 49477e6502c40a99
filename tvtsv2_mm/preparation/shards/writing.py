"""What a worker does: read the videos of some records, and write them into one shard."""

import io
import json
import math
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from tvtsv2_mm.datasets.annotations import CHECKS, AnnotationError, read_record
from tvtsv2_mm.preparation.shards.cutting import CutConfig, cut_record, narrated_parts
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig, encode_part
from tvtsv2_mm.utils.parts.store import FAILURE, PartStore, write_atomically
from tvtsv2_mm.video.errors import SampleError
from tvtsv2_mm.video.header import read_video_header
from tvtsv2_mm.video.source import VideoSource

# What the record of a shard says.
PART = dict(shard=re.compile(r'parts/\d{8}\.tar'), samples=int, bytes=int, source_bytes=int,
            failed=[FAILURE], dropped=[FAILURE])


class Source(Protocol):
    """What the config of shards says to those who write them."""

    ann_file: str
    videos: str
    encoding: EncodingConfig | None
    cutting: CutConfig


@dataclass(frozen=True, kw_only=True)
class ShardPart:
    """The records of a shard.

    Attributes:
        number: of the shard.
        offsets: where the records begin in the annotation file, in bytes.
    """

    number: int
    offsets: list[int]


class ShardWorker:
    """Writes shards, each whole or not at all.

    Args:
        config: what they are made of.
        kind: 'transcripts' or 'captions'.
        folder: of the store.
    """

    def __init__(self, config: Source, kind: str, folder: str) -> None:
        self.config = config
        self.check = CHECKS[kind]
        self.store = PartStore(folder, PART)

    def run(self, part: ShardPart) -> int:
        """Write a part; one that was written before its worker died is kept."""
        if not self.store.has_part(part.number):
            name = f'parts/{part.number:08d}.tar'
            path = self.store.folder / name
            report: dict = dict(shard=name, samples=0, source_bytes=0, failed=[], dropped=[])
            write_atomically(path, lambda draft: self._write(draft, part, report))
            report['bytes'] = path.stat().st_size
            self.store.write_record(part.number, report)
        return len(part.offsets)

    def _write(self, draft: Path, part: ShardPart, report: dict) -> None:
        with tarfile.open(draft, 'w', format=tarfile.USTAR_FORMAT) as tar:
            for offset in part.offsets:
                name = f'the record at byte {offset}'
                try:
                    record = read_record(self.config.ann_file, offset, self.check)
                    name = record.get('id') or record['path']
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
        least = self.config.cutting.min_seconds
        report['dropped'] += [
            dict(video=record.get('id') or record['path'], start=round(start, 3),
                 end=round(end, 3), reason=f'its narrated part is shorter than {least:g} s')
            for start, end in short]
        if not kept and not short:
            report['dropped'].append(dict(video=record.get('id') or record['path'],
                                          reason='nothing is said in it'))
        return kept


def _ending(path: str) -> str:
    # A name in the shard: not whatever a video's name ends in, and not that of the record.
    ending = Path(path).suffix[1:].lower()
    return ending if ending.isascii() and ending.isalnum() and ending != 'json' else 'video'


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    tar.addfile(info, content)
