"""Whisper by faster-whisper: where its files are, and what it hears."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.published import locate
from tvtsv2_mm.preparation.options import WHISPER_MODELS
from tvtsv2_mm.utils.errors import UserFileError, one_error, shortened
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.video.source import SAMPLE_RATE

WEIGHTS = 'model.bin'
# Without the last one faster-whisper fetches a tokenizer itself.
_NEEDED = (WEIGHTS, 'config.json', 'tokenizer.json')

# What faster-whisper makes of sound takes many times the memory of it, so a piece is heard at a
# time. It ends where it is quietest in its last seconds.
_PIECE = 600 * SAMPLE_RATE
_END = 30 * SAMPLE_RATE
_STEP = SAMPLE_RATE // 10
_QUIET_STEPS = 3

# Letters, of text and words together: nobody speaks so fast, but a model that does not end may.
_MOST_LETTERS_PER_S = 200
_MOST_LETTERS = 2000


class HearingError(RuntimeError):
    """The model fails on the sound of a video; the message says how."""


class Whisper:
    """Hears sound.

    Args:
        model: a ``faster_whisper.WhisperModel``.
        language: code of the language that is spoken, such as 'en'; None hears which one it is,
            for each video.
    """

    def __init__(self, model: Any, *, language: str | None = None) -> None:
        self._model = model
        self._language = language

    def hear(self, blocks: Iterable[np.ndarray]) -> dict[str, Any]:
        """Write down what is said, by the parts of the sound in which somebody speaks.

        Args:
            blocks: of :func:`~tvtsv2_mm.video.sound.read_sound`.

        Returns:
            What Whisper's json has: ``language`` (None where nobody speaks), ``duration`` in
            seconds, and ``segments`` with ``id``, ``start``, ``end``, ``text`` and ``words``,
            each of ``word``, ``start``, ``end`` and ``probability``.

        Raises:
            HearingError: the model fails, or says more than can be said.
        """
        language, seconds = self._language, 0.0
        segments: list[dict] = []
        for start, piece in cut_into_pieces(blocks):
            seconds = start + len(piece) / SAMPLE_RATE
            try:
                heard, info = self._model.transcribe(
                    piece.astype(np.float32) / 2**15, language=language, word_timestamps=True,
                    vad_filter=True)
                found = _as_segments(heard, start, seconds)
            except HearingError:
                raise
            except Exception as error:  # CTranslate2's, onnxruntime's, of the GPU
                raise HearingError(shortened(
                    f'the model fails on its sound ({type(error).__name__}: {error})')) from error
            if found:
                language = str(info.language)
                segments += found
        for number, segment in enumerate(segments):
            segment['id'] = number
        return dict(language=language if segments else None, duration=round(seconds, 3),
                    segments=segments)


def find_whisper(name: str) -> Path:
    """The folder of a model: itself, or the copy of what is published by that name.

    Args:
        name: a folder, one of ``WHISPER_MODELS``, or 'hf://OWNER/MODEL'. What faster-whisper has
            fetched before is taken from its cache; else it is fetched as weights by name are.

    Raises:
        ValueError: there is no such model, it is not whole, or it cannot be fetched; the message
            says what to put where.
    """
    if os.path.isdir(name):
        folder = Path(name)
    elif name in WHISPER_MODELS or name.startswith('hf://'):
        place = WHISPER_MODELS.get(name, name)
        try:
            folder = _in_cache_of_hub(place) or Path(locate(place, (WEIGHTS, )))
        except CheckpointError as error:
            raise UserFileError(f'{error} (--model FOLDER)') from error
    else:
        raise ValueError(f'--model {name}: there is no such folder, and known names are '
                         f'{", ".join(WHISPER_MODELS)}, and hf://OWNER/MODEL')
    missing = _missing(folder)
    if missing:
        raise UserFileError(
            f'{folder} is no model of faster-whisper (in the format of CTranslate2): it has no '
            f'{", ".join(missing)}. Those of huggingface.co/Systran are, and '
            'ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json '
            'makes one of a model of transformers')
    return folder


def load_whisper(name: str, *, language: str | None = None, device: str = 'auto',
                 compute_type: str = 'default') -> Whisper:
    """Load a model, and have it hear a second of silence, so that what cannot work fails now.

    Args:
        name: as of :func:`find_whisper`.
        language: as of :class:`Whisper`.
        device: 'cpu', 'cuda', or 'auto' for a GPU where CTranslate2 finds one.
        compute_type: CTranslate2's, such as 'int8' or 'float16'; 'default' as the weights are.

    Raises:
        MissingPackageError: faster-whisper is not installed.
        ValueError: the model cannot be found or used, or does not know the language.
    """
    with needed_for('transcribing'):
        import faster_whisper
    folder = find_whisper(name)
    with one_error(f'the model {folder} cannot be used (--device {device} --compute-type '
                   f'{compute_type})'):
        model = faster_whisper.WhisperModel(
            str(folder), device=device, compute_type=compute_type, local_files_only=True)
        known = model.supported_languages
        if language is None or language in known:
            silence = np.zeros(SAMPLE_RATE, np.float32)
            heard, _ = model.transcribe(silence, language=language, beam_size=1, temperature=0.0,
                                        max_new_tokens=1)
            list(heard)
    if language is not None and language not in known:
        raise ValueError(f'--language {language}: the model {name} knows {" ".join(known)}')
    return Whisper(model, language=language)


def cut_into_pieces(blocks: Iterable[np.ndarray]) -> Iterator[tuple[float, np.ndarray]]:
    """Pieces of ten minutes at most, and the second at which each starts.

    Args:
        blocks: int16, ``SAMPLE_RATE`` samples a second.
    """
    first, kept = 0, np.empty(0, np.int16)
    for block in blocks:
        kept = np.concatenate([kept, block])
        while len(kept) > _PIECE:
            cut = _PIECE - _END + _quietest(kept[_PIECE - _END:_PIECE])
            yield first / SAMPLE_RATE, kept[:cut]
            first, kept = first + cut, kept[cut:]
    if len(kept):
        yield first / SAMPLE_RATE, kept


def _quietest(samples: np.ndarray) -> int:
    """The middle of the quietest third of a second."""
    steps = samples[:len(samples) // _STEP * _STEP].reshape(-1, _STEP).astype(np.float64)
    loudness = np.convolve((steps**2).mean(1), np.ones(_QUIET_STEPS), 'valid')
    return int(loudness.argmin()) * _STEP + _QUIET_STEPS * _STEP // 2


def _as_segments(heard: Iterable[Any], start: float, end: float) -> list[dict]:
    """What faster-whisper gives, with the times of the whole."""
    room = _MOST_LETTERS + _MOST_LETTERS_PER_S * (end - start)
    segments = []

    for segment in heard:
        spoken = segment.words or ()
        room -= 1 + len(segment.text) + sum(1 + len(word.word) for word in spoken)
        if room < 0:
            raise HearingError('the model says more of it than anybody can')
        words = [dict(word=word.word, **_times(word, start, end),
                      probability=round(float(word.probability), 3)) for word in spoken]
        segments.append(dict(id=0, **_times(segment, start, end), text=segment.text, words=words))
    return segments


def _times(item: Any, first: float, last: float) -> dict[str, float]:
    """Start and end in the whole, of a piece from ``first`` to ``last``."""
    start, end = float(item.start), float(item.end)
    if not (math.isfinite(start) and math.isfinite(end)):
        raise HearingError('the model gives times that are no numbers')
    return dict(start=round(min(max(first + start, first), last), 3),
                end=round(min(max(first + end, first), last), 3))


def _in_cache_of_hub(place: str) -> Path | None:
    """What faster-whisper, or another program, has fetched of it, where that is whole."""
    from huggingface_hub import snapshot_download
    repository, _, revision = place.removeprefix('hf://').partition('@')
    try:
        folder = Path(snapshot_download(repository, revision=revision or None,
                                        local_files_only=True))
    except (OSError, ValueError):  # it is not there; or no name on the hub, which locate says
        return None
    return None if _missing(folder) else folder


def _missing(folder: Path) -> list[str]:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any((folder / f'vocabulary.{ending}').is_file() for ending in ('json', 'txt')):
        missing.append('vocabulary.json')
    return missing
