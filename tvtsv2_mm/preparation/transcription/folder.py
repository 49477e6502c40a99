"""Transcribe the videos of a folder, each once."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from tvtsv2_mm.preparation.converters.transcript_files import stem_of
from tvtsv2_mm.preparation.converters.videos import one_spelling
from tvtsv2_mm.preparation.options import SUBTITLE_PATTERNS
from tvtsv2_mm.preparation.transcription.whisper import HearingError
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import (
    check_fields,
    file_stamp,
    make_folder,
    read_json,
    to_json_lines,
    write_atomically,
)
from tvtsv2_mm.utils.locks import locked
from tvtsv2_mm.video.errors import NoSoundError, SampleError, cause_of
from tvtsv2_mm.video.files import printable, walk_videos
from tvtsv2_mm.video.isolated_reader import DecodingProcess

ENDING = '.whisper.json'
FAILED = 'transcribe.failed.jsonl'
OWN_KEY = 'tvtsv2_mm'  # of what a transcript says about itself: it is ours

_OWN = {OWN_KEY: dict(video=dict(size=int, time=int), made_with=dict(model=str))}
# Half a minute of sound, wherever in the file it is.
_SECONDS_PER_BLOCK = 120.0
# Videos before the share of those that fail counts.
_FEWEST = 20

# Blocks of sound -> language, duration and segments: Whisper.hear.
Hear = Callable[[Iterable[np.ndarray]], dict[str, Any]]


@dataclass(kw_only=True)
class TranscriptionReport:
    """What became of the videos of a folder; ``made`` and ``silent`` are those of this run."""

    folder: Path  # of the transcripts
    made: int = 0  # transcripts
    silent: int = 0  # videos in which nobody speaks, or without sound: their transcripts are empty
    seconds: float = 0.0  # of sound
    there: int = 0  # videos that had a transcript of an earlier run
    made_otherwise: int = 0  # those of them whose transcripts were made with other options
    subtitled: int = 0  # videos that have subtitles, and were left out
    failed: list[dict[str, str]] = field(default_factory=list)  # video and reason

    def summary(self) -> str:
        """The report as lines of text."""
        lines = [f'transcribed {self.made} videos; {self.seconds / 3600:.2f} hours of sound',
                 f'{self.silent} have no sound, or nobody speaks: their transcripts are empty',
                 f'{self.there} were transcribed before'
                 + (f'; {self.made_otherwise} of them with another model or language, and stay so '
                    f'(delete their *{ENDING}, and they are made anew)'
                    if self.made_otherwise else ''),
                 f'{self.subtitled} have subtitles, and are left out (--all takes them too)',
                 f'{len(self.failed)} failed, see {self.folder / FAILED}']
        counts = (1, self.silent, self.there, self.subtitled, len(self.failed))
        lines = [line for line, count in zip(lines, counts, strict=True) if count]
        reasons = Counter(cause_of(entry['reason']) for entry in self.failed)
        lines += [f'  {count} x {reason}' for reason, count in reasons.most_common()]
        return '\n'.join(lines)


def transcribe_folder(videos: str | os.PathLike, load: Callable[[], Hear],
                      made_with: Mapping[str, Any], *, out: str | os.PathLike | None = None,
                      with_subtitles: bool = False, max_failed: float = 0.2,
                      show_progress: bool = True) -> TranscriptionReport:
    """Write ``NAME.whisper.json`` for each video; one that is there stays while the video does.

    Each is there whole or not at all, so the same call goes on where a run was killed. A file of
    that name which is not of this function stays as it is. Videos that fail are listed in
    ``transcribe.failed.jsonl``, and tried again by the next call.

    Args:
        videos: the folder.
        load: loads what hears; called where there is something to hear.
        made_with: what each transcript says of how it was made, with ``model``, a name.
        out: folder of the transcripts, in folders as those of the videos; None puts them beside
            the videos, where features look for them.
        with_subtitles: transcribe videos too that have .vtt or .srt beside them.
        max_failed: stop when more than this share of the videos so far has failed, 0..1; from 20
            on.
        show_progress: draw a progress bar.

    Raises:
        FileNotFoundError: there is no such folder, or no video in it.
        UserFileError: another run is at work there, or it may not be written to.
        ValueError: ``max_failed`` is no share; and what ``load`` raises.
        RuntimeError: too many videos failed.
    """
    if not 0 <= max_failed <= 1:
        raise ValueError(f'the largest share that may fail is 0..1, not {max_failed}')
    root = Path(videos)
    if not root.is_dir():
        raise FileNotFoundError(f'there is no folder {root} (of the videos)')
    names = sorted(walk_videos(str(root)))
    if not names:
        raise FileNotFoundError(f'there is no video under {root}')
    folder = root if out is None else Path(out)
    make_folder(folder)
    if not os.access(folder, os.W_OK):
        raise UserFileError(f'{folder} may not be written to: give another folder for the '
                            'transcripts (--out FOLDER)')
    report = TranscriptionReport(folder=folder)
    with locked(folder):
        _remove_drafts(folder, FAILED)
        todo = _plan(root, names, report, made_with, with_subtitles)
        if todo:
            _Run(root, report, load(), made_with).do(todo, max_failed, show_progress)
        _write_failed(report)
    return report


def _plan(root: Path, names: list[str], report: TranscriptionReport, made_with: Mapping[str, Any],
          with_subtitles: bool) -> list[str]:
    """The videos that are to be heard; counts the others."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_folder[os.path.dirname(name)].append(name)
    todo = []
    for place, own in by_folder.items():
        _remove_drafts(report.folder / place, f'*{ENDING}')
        stems = Counter(one_spelling(_stem(name)) for name in own)
        subtitled = set() if with_subtitles else _subtitled(root / place, stems)
        for name in own:
            stem = one_spelling(_stem(name))
            if stems[stem] > 1:
                _fail(report, name, 'another video beside it has its name but for the ending, so '
                      'no tool could tell whose transcript it is: rename one')
            elif stem in subtitled:
                report.subtitled += 1
            else:
                state = _state(root / name, _transcript(report.folder, name), made_with)
                if state == 'new':
                    todo.append(name)
                elif state == 'foreign':
                    _fail(report, name, f'its {ENDING[1:]} is damaged, or was not made by this '
                          'tool: it stays (delete it, and it is made)')
                else:
                    report.there += 1
                    report.made_otherwise += state == 'otherwise'
    return todo


def _subtitled(folder: Path, stems: Mapping[str, int]) -> set[str]:
    endings = tuple(pattern.lstrip('*') for pattern in SUBTITLE_PATTERNS)
    return {stem_of(one_spelling(name), stems) for name in os.listdir(folder)
            if name.lower().endswith(endings) and not name.startswith('.')}


def _state(video: Path, transcript: Path, made_with: Mapping[str, Any]) -> str:
    """Whether there is a transcript of a video: 'new', 'foreign', 'there' or 'otherwise'."""
    if not os.path.lexists(transcript):
        return 'new'
    try:
        content = read_json(transcript)
        check_fields(content, _OWN, '')
    except (OSError, ValueError):
        return 'foreign'
    own = content[OWN_KEY]
    if own['video'] != file_stamp(video):
        return 'new'
    return 'there' if own['made_with'] == made_with else 'otherwise'


class _Run:

    def __init__(self, root: Path, report: TranscriptionReport, hear: Hear,
                 made_with: Mapping[str, Any]) -> None:
        self._root = root
        self._report = report
        self._hear = hear
        self._made_with = made_with
        self._process = DecodingProcess()

    def do(self, names: list[str], max_failed: float, show_progress: bool) -> None:
        """Hear the videos; raises RuntimeError when too many fail."""
        report, failed_before = self._report, len(self._report.failed)
        try:
            for name in track(names, 'transcribing', disable=not show_progress):
                self._do_one(name)
                failed = len(report.failed) - failed_before
                tried = report.made + report.silent + report.there + failed
                if tried >= _FEWEST and failed > max_failed * tried:
                    _write_failed(report)
                    raise RuntimeError(
                        f'{failed} of {tried} videos have failed, the last one for this reason: '
                        f'{report.failed[-1]["reason"]}. All are in {report.folder / FAILED}; the '
                        'same command goes on, with --max-failed 1 whatever fails')
        finally:
            self._process.kill()

    def _do_one(self, name: str) -> None:
        report, video = self._report, self._root / name
        heard: dict[str, Any]
        stamp = file_stamp(video)  # before it is read: what is written to meanwhile has changed
        try:
            blocks = self._process.read_sound(str(video), deadline=_SECONDS_PER_BLOCK)
            heard = self._hear(blocks)
        except NoSoundError:
            heard = dict(language=None, duration=0.0, segments=[])
        except SampleError as error:
            return _fail(report, name, error.reason)
        except (HearingError, OSError) as error:
            return _fail(report, name, str(error))
        own: dict[str, Any] = {OWN_KEY: dict(video=stamp, made_with=self._made_with)}
        transcript = _transcript(report.folder, name)
        make_folder(transcript.parent)
        write_atomically(transcript, to_json_lines([own | heard]))
        report.seconds += heard['duration']
        if heard['segments']:
            report.made += 1
        else:
            report.silent += 1


def _remove_drafts(folder: Path, names: str) -> None:
    for draft in folder.glob(f'.{names}.*.part'):  # of a run that was killed while it wrote
        draft.unlink(missing_ok=True)


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def _transcript(folder: Path, name: str) -> Path:
    return folder / os.path.dirname(name) / f'{_stem(name)}{ENDING}'


def _fail(report: TranscriptionReport, name: str, reason: str) -> None:
    report.failed.append(dict(video=printable(name), reason=printable(reason)))


def _write_failed(report: TranscriptionReport) -> None:
    path = report.folder / FAILED
    if report.failed:
        write_atomically(path, to_json_lines(report.failed))
    else:
        path.unlink(missing_ok=True)
