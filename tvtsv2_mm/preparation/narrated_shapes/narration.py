"""What is said about the events: time-stamped words as a recogniser hears them, and captions."""

from collections.abc import Sequence

import numpy as np

from tvtsv2_mm.preparation.narrated_shapes.events import Event
from tvtsv2_mm.preparation.narrated_shapes.vocabulary import FILLERS, MISHEARD, OPENINGS

Word = tuple[str, float, float]  # text, start and end in seconds


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[rng.integers(len(options))]


def describe(rng: np.random.Generator, event: Event, *, seen_before: bool = False) -> str:
    """What is said about an event: the motion twice, as who watches something happen does.

    A shape that was just there may be called "it".
    """
    name = f'{_pick(rng, ("a", "the"))} {event.colour} {event.shape}'
    if seen_before and rng.random() < 0.3:
        name = _pick(rng, ('it', f'the {event.shape}'))
    motion = event.motion
    if rng.random() < 0.5:
        return f'{name} {_pick(rng, motion.finite)} it is {_pick(rng, motion.continuous)}'
    return f'something {_pick(rng, motion.continuous)} {name} {_pick(rng, motion.finite)}'


def _disfluent(rng: np.random.Generator, sentence: str, *, filler_rate: float) -> list[str]:
    """The words of a sentence as they come out of a mouth: openings and fillers among them."""
    words = _pick(rng, OPENINGS).split() if rng.random() < 0.4 else []
    for word in sentence.split():
        if rng.random() < filler_rate:
            words += _pick(rng, FILLERS).split()
        words.append(word)
    return words


def narrate(rng: np.random.Generator, events: Sequence[Event], *, filler_rate: float = 0.08,
            drop_rate: float = 0.03, mishear_rate: float = 0.03,
            jitter_seconds: float = 0.05) -> list[Word]:
    """Say what happens while it happens.

    Each event is described once, its words spread over it. Then the recogniser: words are dropped
    or misheard and their times jittered.

    Args:
        rng: Source of all randomness.
        events: In order of time.
        filler_rate: Share of words with a filler before them.
        drop_rate: Share of words that are lost.
        mishear_rate: Share of the words known to ``MISHEARD`` that are replaced.
        jitter_seconds: Standard deviation of the error of a word's start.

    Returns:
        Sorted by start, times rounded to 10 ms, all inside the video.
    """
    heard: list[Word] = []
    duration, shown = events[-1].end, None
    for event in events:
        before, shown = shown, (event.colour, event.shape)
        words = _disfluent(rng, describe(rng, event, seen_before=before == shown),
                           filler_rate=filler_rate)
        begin, end = event.start + rng.uniform(0.0, 0.3), event.end - rng.uniform(0.1, 0.5)
        each = (end - begin) / len(words)
        for position, word in enumerate(words):
            start = begin + position * each + rng.normal(0.0, jitter_seconds)
            if rng.random() < drop_rate:
                continue
            if word in MISHEARD and rng.random() < mishear_rate:
                word = MISHEARD[word]
            start = round(float(np.clip(start, 0.0, duration - 0.02)), 2)
            heard.append((word, start, round(min(start + 0.8 * each, duration - 0.01), 2)))
    return sorted(heard, key=lambda word: word[1])


def say_thing(rng: np.random.Generator, colour: str, shape: str) -> str:
    """What a narrator says of what is there, and not of what it does."""
    return ' '.join(_disfluent(rng, f'{_pick(rng, ("a", "the"))} {colour} {shape}',
                               filler_rate=0.08))


def captions_of_event(rng: np.random.Generator, event: Event) -> list[str]:
    """Three written captions of a clip with one event; each names colour, shape and motion."""
    thing, motion = f'{event.colour} {event.shape}', event.motion
    return [f'a {thing} {motion.name}', f'a {thing} {_pick(rng, motion.finite)}',
            f'the {thing} is {_pick(rng, motion.continuous)}']


def caption_of_order(first: Event, second: Event, *, wording: str) -> str:
    """One caption of two events and their order; ``wording`` is 'before', 'after' or 'then'."""
    one, two = (f'a {e.colour} {e.shape} {e.motion.finite[0]}' for e in (first, second))
    return {'before': f'{one} before {two}', 'after': f'{two} after {one}',
            'then': f'{one} and then {two}'}[wording]
