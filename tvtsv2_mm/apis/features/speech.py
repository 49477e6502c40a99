"""What is said in videos, embedded by the text encoder: passages of the transcripts beside them."""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from rich.progress import track

from tvtsv2_mm.apis.clips import Failure
from tvtsv2_mm.apis.features.shards import FeatureStore, stamp_of
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.preparation.converters import DropRecord, read_asr_json, read_subtitles
from tvtsv2_mm.preparation.converters.transcript_files import stem_of
from tvtsv2_mm.utils.parts import cut_into_parts
from tvtsv2_mm.video.files import printable

SPEECH = 'speech'  # the folder, in that of the features

# Of several files of a video the first that can be read counts.
_READERS: dict[str, Callable[[Path], dict]] = {
    '.vtt': read_subtitles, '.srt': read_subtitles, '.json': read_asr_json}

_LONGEST_PASSAGE_S = 10.0
_LONGEST_PAUSE_S = 2.0
_VIDEOS_OF_A_PART = 256

Passage = tuple[str, float, float]  # a text, the seconds at which it starts and ends


def embed_speech(store: FeatureStore, root: str, videos: Sequence[str],
                 inferencer: TVTSv2Inferencer, meta: Mapping[str, Any], *,
                 ends: Mapping[str, float], show_progress: bool = True) -> tuple[int, int]:
    """Embed the transcripts that lie beside videos, each once, until it or its video changes.

    Args:
        store: ``SPEECH`` in the folder of the features.
        root: the folder that the names are relative to.
        videos: the names of those that have features.
        inferencer: the model.
        meta: what the passages are embedded with.
        ends: seconds at which the videos end, by their printable names.
        show_progress: draw a progress bar.

    Returns:
        Of how many videos passages were embedded, and how many have a file that is no transcript.
    """
    files = transcripts_beside(root, videos)
    if not files and not (store.folder / 'index.jsonl').is_file():
        return 0, 0
    with store.locked():
        store.begin(meta)
        done, last = store.done()
        new = [video for video, paths in files.items()
               if done.get(printable(video)) != _stamp(paths, ends[printable(video)])]
        for part in track(cut_into_parts(new, _VIDEOS_OF_A_PART, first=last + 1), 'speech',
                          disable=not (show_progress and new)):
            _embed_part(store, part.number, {video: files[video] for video in part.items},
                        inferencer, ends)
        return store.finish(list(files))


def _embed_part(store: FeatureStore, number: int, files: dict[str, list[str]],
                inferencer: TVTSv2Inferencer, ends: Mapping[str, float]) -> None:
    found: dict[str, list[Passage]] = {}
    failed = []
    for video, paths in files.items():
        reasons = []
        for path in paths:
            try:
                found[video] = _within(ends[printable(video)], path)
                break
            except DropRecord as error:
                reasons.append(f'{os.path.basename(path)}: {error}')
        else:
            failed.append(Failure(video=printable(video), reason='; '.join(reasons)))
    texts = [text for text, _, _ in chain.from_iterable(found.values())]
    store.write_part(
        number, list(map(printable, found)),
        inferencer.embed_texts(texts) if texts else np.zeros((0, 0), np.float32), failed,
        windows=[[[start, end] for _, start, end in own] for own in found.values()],
        texts=[[text for text, _, _ in own] for own in found.values()],
        stamps={printable(video): _stamp(paths, ends[printable(video)])
                for video, paths in files.items()})


def _stamp(paths: Sequence[str], end: float) -> list:
    """By which it is seen that other passages would be embedded now."""
    return [*map(stamp_of, paths), end]


def _within(end: float, path: str) -> list[Passage]:
    """The passages of a transcript that begin in its video, which ends at this second."""
    passages = read_passages(path)
    within = [passage for passage in passages if passage[1] < end]
    if not within:
        raise DropRecord(f'all of it is said after the end of the video, at {end:g} s')
    if late := len(passages) - len(within):
        print_log(f'{printable(path)}: {late} of {len(passages)} passages begin after the end of '
                  f'the video, at {end:g} s, and are left out', 'current', logging.WARNING)
    return within


def transcripts_beside(root: str, videos: Sequence[str]) -> dict[str, list[str]]:
    """The transcript files that have a video's name and lie beside it, of videos that have some.

    ``talk.mp4`` has ``talk.vtt``, ``talk.en.srt`` or ``talk.mp4.json``; .vtt come first, then .srt,
    then .json.
    """
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)
    for video in videos:
        if '://' not in video:
            folder, name = os.path.split(os.path.join(root, video))
            by_folder[folder][os.path.splitext(name)[0]] = video
    found: dict[str, list[str]] = defaultdict(list)
    for folder, own in by_folder.items():
        names = sorted(os.listdir(folder or '.')) if os.path.isdir(folder or '.') else []
        for ending in _READERS:
            for name in names:
                if name.lower().endswith(ending) and not name.startswith('.'):
                    stem = stem_of(name, own)
                    if stem in own:
                        found[own[stem]].append(os.path.join(folder, name))
    return {video: found[video] for video in videos if video in found}


def read_passages(path: str) -> list[Passage]:
    """Read a transcript as passages.

    Raises:
        DropRecord: it is none, or nothing is said.
    """
    read = _READERS[os.path.splitext(path)[1].lower()]
    transcript = read(Path(path))
    passages = passages_of(transcript.get('words') or transcript.get('segments') or [])
    if not passages:
        raise DropRecord('nothing is said in it')
    return passages


def passages_of(units: Sequence[Sequence]) -> list[Passage]:
    """Join words or cues, in the order of their starts, to passages of ten seconds at most.

    A pause of more than two seconds ends one; a unit that is longer stays whole.

    Examples:
        >>> passages_of([['so', 0.0, 1.0], ['it', 1.0, 2.0], ['is', 9.0, 10.0]])
        [('so it', 0.0, 2.0), ('is', 9.0, 10.0)]
    """
    passages: list[Passage] = []
    for text, start, end in units:
        if passages:
            before, first, last = passages[-1]
            if start - last <= _LONGEST_PAUSE_S and end - first <= _LONGEST_PASSAGE_S:
                passages[-1] = f'{before} {text}', first, max(last, end)
                continue
        passages.append((text, start, end))
    return passages
