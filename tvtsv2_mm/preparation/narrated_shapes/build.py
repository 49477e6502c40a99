"""Write a whole embedded data set: videos, transcripts, captions and labels."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tvtsv2_mm.preparation.narrated_shapes.events import (
    THINGS,
    Event,
    Thing,
    draw_event,
    draw_story,
)
from tvtsv2_mm.preparation.narrated_shapes.narration import (
    caption_of_order,
    captions_of_event,
    narrate,
    say_thing,
)
from tvtsv2_mm.preparation.narrated_shapes.registers import REGISTERS
from tvtsv2_mm.preparation.narrated_shapes.render import render_frames, write_video
from tvtsv2_mm.preparation.narrated_shapes.vocabulary import COLOURS, MOTIONS
from tvtsv2_mm.utils.files import write_atomically

VERSION = 5  # raise it when the same options give other bytes
STAMP = 'narrated_shapes.json'
PICTURE_SECONDS = 1.0  # at the end of a clip: what moves left is on the left by then
SPOKEN = 3  # captions of a clip in the words of a narrator
WORDINGS = ('before', 'after', 'then')
_REGISTERS, _THINGS = 6, 7  # streams of random numbers beside those of _parts
COMBINATIONS = [(thing, motion) for thing in THINGS for motion in range(len(MOTIONS))]

Entry = dict[str, Any]  # a record of an annotation file


@dataclass(frozen=True, kw_only=True)
class NarratedShapesOptions:
    """How much of what to write."""

    seed: int = 0  # of everything; equal options give equal bytes
    transcript_videos: tuple[int, int] = (400, 200)  # narrated, to train and to validate on
    # How often each of the 108 combinations of colour, shape and motion becomes a single-event
    # clip, for training and for the test.
    clip_rounds: tuple[int, int] = (5, 2)
    order_clips: tuple[int, int] = (100, 100)  # of two events, to train and for before-or-after
    num_events: tuple[int, int] = (4, 6)  # fewest and most of a narrated video
    event_seconds: tuple[float, float] = (3.8, 4.6)  # shortest and longest
    unseen_colours: int = 0  # the last so many are in stills and tests, but in no narration
    size: int = 64  # side of a frame in pixels
    fps: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if not 2 <= self.num_events[0] <= self.num_events[1] <= len(MOTIONS):
            raise ValueError(
                f'num_events must lie between 2 and {len(MOTIONS)}, got {self.num_events}.')
        if not 0 <= self.unseen_colours < len(COLOURS):
            raise ValueError(f'unseen_colours must lie between 0 and {len(COLOURS) - 1}, got '
                             f'{self.unseen_colours}.')
        if self.size < 16 or self.size % 2:
            raise ValueError(f'size must be even and at least 16 pixels, got {self.size}.')
        if self.fps <= 0 or not 0 < self.event_seconds[0] <= self.event_seconds[1]:
            raise ValueError('fps and event_seconds must be positive, the shorter first, got '
                             f'fps={self.fps}, event_seconds={self.event_seconds}.')


    @property
    def narrated_things(self) -> list[Thing]:
        """What narrators speak of."""
        seen = [*COLOURS][:len(COLOURS) - self.unseen_colours]
        return [thing for thing in THINGS if thing[0] in seen]


@dataclass(frozen=True, kw_only=True)
class _Studio:
    """Makes the videos of one folder, here or in another process."""

    root: Path
    options: NarratedShapesOptions
    folder: str
    split: int

    def rng(self, number: int) -> np.random.Generator:
        """One per video: no video depends on how many others are made, or by whom."""
        return np.random.default_rng([self.options.seed, self.split, number])

    def film(self, rng: np.random.Generator, events: list[Event], number: int) -> Entry:
        """Render events; returns what every annotation of the video begins with."""
        frames = render_frames(rng, events, size=self.options.size, fps=self.options.fps)
        name = f'{self.folder}/{number:05d}.mp4'
        target = self.root / 'videos' / name
        write_atomically(target, partial(write_video, frames=frames, fps=self.options.fps))
        told = [{'colour': e.colour, 'shape': e.shape, 'motion': e.motion.name,
                 'start': round(e.start, 3), 'end': round(e.end, 3)} for e in events]
        return {'path': name, 'duration': round(len(frames) / self.options.fps, 3),
                'meta': {'events': told}}

    def transcript_video(self, number: int) -> Entry:
        """Several events, narrated."""
        rng = self.rng(number)
        fewest, most = self.options.num_events
        events = draw_story(rng, num_events=int(rng.integers(fewest, most + 1)),
                            event_seconds=self.options.event_seconds,
                            things=self.options.narrated_things)
        entry = self.film(rng, events, number)
        words = [word for word in narrate(rng, events) if word[2] <= entry['duration']]
        return entry | {'words': words}

    def event_clip(self, number: int, *, spoken: bool) -> Entry:
        """One event; ``spoken`` adds captions in the words of a narrator.

        For training: CLIP has read all kinds of text, and a tiny one that knows written captions
        alone makes nothing of a transcript.
        """
        rng = self.rng(number)
        thing, motion = COMBINATIONS[number % len(COMBINATIONS)]
        event = draw_event(rng, thing=thing, motion=MOTIONS[motion], start=0.0,
                           end=float(rng.uniform(*self.options.event_seconds)))
        entry = self.film(rng, [event], number)
        captions = captions_of_event(rng, event)
        if spoken:
            captions += [' '.join(word for word, _, _ in narrate(rng, [event]))
                         for _ in range(SPOKEN)]
        return entry | {'captions': captions}

    def order_clip(self, number: int, *, choice: bool) -> Entry:
        """Two events and their order, in three wordings or, as ``choice``, in two orders."""
        rng = self.rng(number)
        first, second = draw_story(rng, num_events=2, event_seconds=self.options.event_seconds)
        entry = self.film(rng, [first, second], number)
        if not choice:
            return entry | {'captions': [caption_of_order(first, second, wording=wording)
                                         for wording in WORDINGS]}
        wording = WORDINGS[number % 3]
        answer = int(rng.integers(2))
        pair = [caption_of_order(first, second, wording=wording),
                caption_of_order(second, first, wording=wording)]
        return entry | {'captions': pair[::-1] if answer else pair, 'answer': answer}


def _picture(entry: Entry) -> Entry:
    """The end of a single-event clip, to be read as a still: it shows what the caption names.

    So a CLIP learns from pictures what "left" and "bigger" mean, though not what moves. One that
    saw every frame of "moves left" alike would learn to ignore the word, and frozen text blocks do
    not give it back.
    """
    end = entry['duration']
    return {'path': entry['path'], 'start': round(end - PICTURE_SECONDS, 3), 'end': end,
            'captions': entry['captions']}


def _in_registers(entry: Entry, seed: int) -> Entry:
    """A picture with a description in each register."""
    number = int(Path(entry['path']).stem)
    rng = np.random.default_rng([seed, _REGISTERS, number])
    thing, motion = COMBINATIONS[number % len(COMBINATIONS)]
    return _picture(entry) | {'captions': [
        register.describe(rng, thing, motion) for register in REGISTERS.values()]}


def _spoken(entry: Entry) -> Entry:
    """A clip of which only the narrator speaks."""
    return entry | {'captions': entry['captions'][-SPOKEN:]}


def _thing_said(entry: Entry, seed: int) -> Entry:
    """A clip of which the narrator says what is there, and not what it does."""
    rng = np.random.default_rng([seed, _THINGS, int(Path(entry['path']).stem)])
    return entry | {'captions': [say_thing(rng, *_thing(entry)) for _ in range(SPOKEN)]}


def _label_line(entry: Entry) -> str:
    names = [motion.name for motion in MOTIONS]
    return f'{entry["path"]} {names.index(entry["meta"]["events"][0]["motion"])}'


def _thing(entry: Entry) -> Thing:
    event = entry['meta']['events'][0]
    return event['colour'], event['shape']


def _thing_line(entry: Entry) -> str:
    return f'{entry["path"]} {THINGS.index(_thing(entry))}'


def _write(path: Path, lines: Iterable[str]) -> None:
    write_atomically(path, ''.join(line + '\n' for line in lines).encode())


def _write_annotations(root: Path, made: dict[str, list[Entry]],
                       options: NarratedShapesOptions) -> None:
    folder = root / 'annotations'
    folder.mkdir(parents=True, exist_ok=True)
    train, test = made['clips_train'], made['clips_test']
    narrated = [entry for entry in train if _thing(entry) in options.narrated_things]
    files = {
        'transcripts_train.jsonl': made['stories_train'],
        'transcripts_val.jsonl': made['stories_val'],
        'captions_train.jsonl': train,
        'spoken_train.jsonl': map(_spoken, narrated),
        'spoken_things_train.jsonl': (_thing_said(entry, options.seed) for entry in narrated),
        'pictures_train.jsonl': map(_picture, train),
        'registers_train.jsonl': (_in_registers(entry, options.seed) for entry in train),
        # One video per combination: if two shared a caption, neither could be "the" answer.
        'captions_test.jsonl': test[:len(COMBINATIONS)],
        'orders_train.jsonl': made['orders_train'],
        'orders_test.jsonl': made['orders_test'],
    }
    for name, entries in files.items():
        _write(folder / name, map(json.dumps, entries))
    _write(folder / 'motions_train.txt', map(_label_line, train))
    _write(folder / 'motions_test.txt', map(_label_line, test))
    _write(folder / 'things_test.txt', map(_thing_line, test))
    _write(folder / 'motions.txt', (motion.name for motion in MOTIONS))


def build_narrated_shapes(root: str | Path, options: NarratedShapesOptions | None = None, *,
                          workers: int = 1) -> dict[str, int]:
    """Write the data set below a folder; a folder that is complete already is left as it is.

    Layout: ``videos/{stories,clips,orders}_*/00000.mp4`` and
    ``annotations/``: ``transcripts_{train,val}.jsonl``, ``captions_{train,test}.jsonl`` (single
    events), ``spoken_train.jsonl`` (the same in a narrator's words alone),
    ``spoken_things_train.jsonl`` (so, of what is there and not of what it does),
    ``pictures_train.jsonl`` (their last second, captioned as a still), ``registers_train.jsonl``
    (the same, in every register),
    ``orders_{train,test}.jsonl`` (two events, "before" and "after"; the test is a multiple choice),
    ``motions_{train,test}.txt`` and ``things_test.txt`` (path and label), and ``motions.txt``
    (names).

    Args:
        root: Folder to write to.
        options: How much of what; None for the defaults.
        workers: Processes that render. The bytes do not depend on it.

    Returns:
        Number of videos per split.

    Raises:
        ValueError: ``root`` holds a set made with other options; nothing is overwritten.
    """
    root, options = Path(root), options or NarratedShapesOptions()
    stamp = json.loads(json.dumps(asdict(options) | {'version': VERSION}))
    parts = _parts(root, options)
    counts = {folder: number for folder, (number, _) in parts.items()}
    if (root / STAMP).is_file():
        found = json.loads((root / STAMP).read_text(encoding='utf-8'))
        if found != stamp:
            raise ValueError(f'{root} holds narrated shapes made with {found}, asked for are '
                             f'{stamp}. Choose another folder or remove this one.')
        return counts
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        made = {folder: list(map(make, range(number)) if pool is None else
                             pool.map(make, range(number), chunksize=8))
                for folder, (number, make) in parts.items()}
    _write_annotations(root, made, options)
    _write(root / STAMP, [json.dumps(stamp)])
    return counts


def _parts(root: Path, options: NarratedShapesOptions,
           ) -> dict[str, tuple[int, Callable[[int], Entry]]]:
    """Folder -> number of videos, and what makes the i-th of them."""
    stories, clips, orders = options.transcript_videos, options.clip_rounds, options.order_clips
    rows = {  # folder -> the stream of its random numbers, its size, what is in it
        'stories_train': (0, stories[0], _Studio.transcript_video),
        'stories_val': (1, stories[1], _Studio.transcript_video),
        'clips_train': (2, clips[0] * len(COMBINATIONS), partial(_Studio.event_clip, spoken=True)),
        'orders_train': (4, orders[0], partial(_Studio.order_clip, choice=False)),
        'clips_test': (3, clips[1] * len(COMBINATIONS), partial(_Studio.event_clip, spoken=False)),
        'orders_test': (5, orders[1], partial(_Studio.order_clip, choice=True)),
    }
    return {folder: (number, partial(make, _Studio(
        root=root, options=options, folder=folder, split=split)))
        for folder, (split, number, make) in rows.items()}
