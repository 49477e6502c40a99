"""Transcript files (.vtt, .srt, json) that lie beside videos or in a folder of their own."""

import os
import re
from collections.abc import Callable, Collection, Container, Iterable
from functools import partial
from pathlib import Path, PurePath

from tvtsv2_mm.datasets.annotations import check_transcript
from tvtsv2_mm.preparation.converters.report import ConversionReport, convert, fingerprint
from tvtsv2_mm.preparation.converters.timing import in_video
from tvtsv2_mm.preparation.converters.videos import VideoIndex, probe_duration
from tvtsv2_mm.video.files import VIDEO_SUFFIXES, walk_files

# A language or a kind of text, such as "en-US" or "words".
_ADDITION = re.compile('[A-Za-z]+([_-][A-Za-z0-9]+)*')
_MEDIA_SUFFIXES = VIDEO_SUFFIXES | {'.mp3', '.m4a'}

# Text of a transcript file -> "words" or "segments", and "meta".
Reader = Callable[[Path], dict]


def convert_transcript_files(read: Reader, output: str | Path, *, patterns: Iterable[str],
                             videos: str | Path, transcripts: str | Path | None = None,
                             any_folder: bool = False, workers: int = 1) -> ConversionReport:
    """Convert transcript files, each of one video.

    A file belongs to the video of its name, without the ending and what else stands behind a dot:
    ``talk.mp4`` has ``talk.vtt``, ``talk.en.vtt`` or ``talk.mp4.words.json``. The two lie at the
    same place under their folders. Where a video has several files, the first counts: in the order
    of the patterns, then by name.

    Args:
        read: Reads one file.
        output: The annotation file.
        patterns: Names of the files, such as ``*.en.vtt``; upper and lower case count the same.
        videos: Folder of the videos.
        transcripts: Folder of the files; None looks beside the videos.
        any_folder: Take the video of a file's name from another folder too, where neither a second
            video nor a file of another folder has this name.
        workers: Processes.

    Raises:
        FileNotFoundError: If there is no such folder, no video, or no transcript file.
    """
    root = Path(videos if transcripts is None else transcripts)
    if not root.is_dir():
        raise FileNotFoundError(f'there is no folder {root} (of the transcripts)')
    patterns = list(patterns)
    names = _matching(root, patterns)
    if not names:
        raise FileNotFoundError(f'there is no {" or ".join(patterns)} under {root}')
    index = VideoIndex(videos)
    folders: dict[str, set[str]] = {}
    for name in names:
        folders.setdefault(stem_of(name, index), set()).add(os.path.dirname(name))
    unique = {stem for stem, found in folders.items() if any_folder and len(found) == 1}
    make = partial(_to_annotation, root=root, videos=index, read=read, in_any_folder=unique)
    return convert(((name, name) for name in names), make, output, check=check_transcript,
                   source=fingerprint([root / name for name in names], os.fspath(videos),
                                      any_folder), workers=workers)


def _to_annotation(name: str, root: Path, videos: VideoIndex, read: Reader,
                   in_any_folder: Collection[str]) -> dict:
    """Make an annotation of a file: of its path below the root."""
    stem = stem_of(name, videos)
    path = videos.find(stem, os.path.dirname(name), anywhere=stem in in_any_folder)
    return in_video({'path': path, 'duration': probe_duration(videos.root / path),
                     **read(root / name)})


def _matching(root: Path, patterns: Iterable[str]) -> list[str]:
    names = sorted(name for name in walk_files(str(root)) if (root / name).is_file())
    return list(dict.fromkeys(name for pattern in patterns for name in names
                              if PurePath(name.lower()).match(pattern.lower())))


def stem_of(name: str, videos: Container[str]) -> str:
    """The name, without its ending, of the video of a transcript file; without one, of the file."""
    stem, _ = os.path.splitext(os.path.basename(name))
    shorter = stem
    while shorter not in videos:
        shorter, dot, rest = shorter.rpartition('.')
        # "talk.en", "talk.mp4.words", but not "talk.2": another part has other words.
        if not dot or not (_ADDITION.fullmatch(rest) or f'.{rest.lower()}' in _MEDIA_SUFFIXES):
            return stem
    return shorter
