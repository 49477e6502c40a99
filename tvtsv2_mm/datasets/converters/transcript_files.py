"""Transcript files (.vtt, .srt, json) that lie beside videos or in a folder of their own."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from tvtsv2_mm.datasets.annotations import check_transcript
from tvtsv2_mm.datasets.converters.report import (
    ConversionReport,
    DropRecord,
    convert,
    fingerprint,
)
from tvtsv2_mm.datasets.converters.videos import VideoIndex, probe_duration

# Text of a transcript file -> "words" or "segments", and "meta".
Reader = Callable[[Path], dict]


def convert_transcript_files(read: Reader, output: str | Path, *, patterns: Iterable[str],
                             videos: str | Path, transcripts: str | Path | None = None,
                             workers: int = 1) -> ConversionReport:
    """Convert transcript files, each of one video.

    A file belongs to the video of its name, without the ending and what else stands behind a dot:
    ``talk.mp4`` has ``talk.vtt``, ``talk.en.vtt`` or ``talk.mp4.words.json``. A video in the same
    place under its folder is preferred. Where a video has several files, the first counts: in the
    order of the patterns, then by name.

    Args:
        read: Reads one file.
        output: The annotation file.
        patterns: Names of the files, such as ``*.en.vtt``.
        videos: Folder of the videos.
        transcripts: Folder of the files; None looks beside the videos.
        workers: Processes.

    Raises:
        FileNotFoundError: If there is no such folder, no video, or no transcript file.
    """
    root = Path(videos if transcripts is None else transcripts)
    if not root.is_dir():
        raise FileNotFoundError(f'there is no folder {root} (of the transcripts)')
    patterns = list(patterns)
    names = list(_matching(root, patterns))
    if not names:
        raise FileNotFoundError(f'there is no {" or ".join(patterns)} under {root}')
    make = partial(to_annotation, root=root, videos=VideoIndex(videos), read=read)
    return convert(((name, name) for name in names), make, output, check=check_transcript,
                   source=fingerprint([root / name for name in names], os.fspath(videos)),
                   workers=workers)


def to_annotation(name: str, root: Path, videos: VideoIndex, read: Reader) -> dict:
    """Make an annotation of one transcript file; ``name`` is relative to ``root``.

    Raises:
        DropRecord: If it cannot be used.
    """
    path = _video_of(name, videos)
    transcript = read(root / name)
    if not (transcript.get('words') or transcript.get('segments')):
        raise DropRecord('it has no word')
    return {'path': path, 'duration': probe_duration(videos.root / path), **transcript}


def _matching(root: Path, patterns: Iterable[str]) -> Iterator[str]:
    seen = set()
    for pattern in patterns:
        for path in sorted(root.rglob(pattern)):
            if path.is_file() and path not in seen:
                seen.add(path)
                yield os.path.relpath(path, root)


def _video_of(name: str, videos: VideoIndex) -> str:
    folder, stem = os.path.split(name)
    while '.' in stem:
        stem = stem.rpartition('.')[0]
        if stem in videos:
            return videos.find(stem, folder)
    raise DropRecord('there is no video file of its name')
