"""What is compared: trainings that differ in one thing, and what is read off them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tvtsv2_mm.preparation.narrated_shapes.registers import REGISTERS

SPOKEN = 'narration'  # the register of the videos
OTHERS = tuple(name for name in REGISTERS if name != SPOKEN)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One way to make a video model of the tiny CLIP."""

    title: str
    model: Mapping[str, Any] = field(default_factory=dict)  # of the model config, by dotted name
    mask: float = 0.5  # share of the patches that are left out in training
    captions: str = 'spoken'  # what those of the clips tell: spoken_things, no motion
    rate: float | None = None  # of learning; None for BEST_RATE


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a part's table: the mean of some measures."""

    title: str
    measures: tuple[str, ...]
    chance: float | None = None  # in per cent
    digits: int = 1


@dataclass(frozen=True, kw_only=True)
class Part:
    """One claim."""

    claim: str
    settings: tuple[str, ...]  # of SETTINGS, the one of the paper among them
    rows: tuple[Row, ...]


# All are trained alike but for what is named.
SETTINGS: dict[str, Setting] = {
    'tvtsv2': Setting(title='TVTSv2: 2 of 3 blocks frozen, sorting, mask 0.5'),
    'tuned': Setting(title='text encoder fully tuned', model={'neck.frozen_layers': 0}),
    'tuned-fast': Setting(title='text encoder fully tuned, three times the rate', rate=3e-3,
                          model={'neck.frozen_layers': 0}),
    'tvtsv2-fast': Setting(title='TVTSv2, three times the rate', rate=3e-3),
    'frozen-1': Setting(title='1 of 3 blocks frozen', model={'neck.frozen_layers': 1}),
    'frozen': Setting(title='text encoder fully frozen', model={'neck.frozen': True}),
    'contrast': Setting(title='without sorting', model={'sorting_head': None}),
    'contrast-things': Setting(title='captions tell no motion, without sorting',
                               model={'sorting_head': None}, captions='spoken_things'),
    'tvtsv2-things': Setting(title='captions tell no motion, with sorting',
                             captions='spoken_things'),
    'mask-0': Setting(title='no mask', mask=0.0),
    'mask-0.7': Setting(title='mask 0.7', mask=0.7),
    'time-qkv': Setting(title="time attention starts as the release's (qkv)",
                        model={'backbone.time_init': 'qkv'}),
}

RATES = (3e-4, 1e-3, 3e-3)
BEST_RATE = 1e-3  # of each setting in the search (docs/study.md)
# What a rate is chosen by, the sum of both: what is kept and what is learnt, in words never heard.
SCORES = {'things': OTHERS, 'motions': OTHERS}
GUARDED = ('guard/drift', 'guard/fall')  # the worst that the guard saw

_THING, _MOTION = 100 / 18, 100 / 6
_KEPT = (
    Row(title='things of colours that no video shows, zero-shot among all 18',
        measures=tuple(f'things/{name}/unseen' for name in REGISTERS), chance=_THING),
    Row(title='18 things, zero-shot, registers never heard in the videos',
        measures=tuple(f'things/{name}' for name in OTHERS), chance=_THING),
    Row(title='18 things, zero-shot, the narrator\'s', measures=(f'things/{SPOKEN}', ),
        chance=_THING),
)
_LEARNT = (
    Row(title="6 motions, zero-shot, the narrator's", measures=(f'motions/{SPOKEN}', ),
        chance=_MOTION),
    Row(title='6 motions, zero-shot, registers never heard',
        measures=tuple(f'motions/{name}' for name in OTHERS), chance=_MOTION),
    Row(title='6 motions, linear probe', measures=('probe/acc/top1', ), chance=_MOTION),
    Row(title='transcript sorting, each of 4', measures=('sorting/per_transcript', ), chance=25.0),
    Row(title='before or after, the other order as distractor',
        measures=('choice/multiple_choice/top1', ), chance=50.0),
    Row(title='text-to-video retrieval, 108 videos, R@1', measures=('retrieval/t2v/R1', ),
        chance=100 / 108),
)
_COST = (
    Row(title='training, GFLOP a clip (video encoder)', measures=('cost/gflop', ), digits=3),
    Row(title='training, seconds a step on one core', measures=('cost/seconds', ), digits=3),
)
_GUARD = (
    Row(title='the guard: most drift of sentences that the videos do not speak (1 - cosine)',
        measures=('guard/drift', ), digits=3),
    Row(title='the guard: deepest fall of 18 things while it trained, points',
        measures=('guard/fall', )),
    Row(title='the guard warned of drift, % of the seeds', measures=('guard/warned/drift', ),
        digits=0),
    Row(title='the guard warned of a fall, % of the seeds', measures=('guard/warned/fall', ),
        digits=0),
)
PARTS: dict[str, Part] = {
    'freeze': Part(
        claim='Tuning the text encoder end to end degrades zero-shot use; freezing its shallow '
              'layers keeps it.',
        settings=('tuned', 'frozen-1', 'tvtsv2', 'frozen', 'tuned-fast', 'tvtsv2-fast'),
        rows=(*_KEPT, *_LEARNT, *_GUARD, *(
            Row(title=f'{kind}, {name}', measures=(f'{kind}/{name}', ),
                chance=_THING if kind == 'things' else _MOTION)
            for kind in ('things', 'motions') for name in REGISTERS))),
    'sorting': Part(
        claim='Transcript sorting gives temporal understanding that contrastive training alone '
              'does not.',
        settings=('contrast', 'tvtsv2', 'contrast-things', 'tvtsv2-things'),
        rows=(*_LEARNT, *_KEPT, *_COST)),
    'masking': Part(
        claim='Masking makes training cheaper at little or no loss.',
        settings=('mask-0', 'tvtsv2', 'mask-0.7'), rows=(*_COST, *_LEARNT, *_KEPT)),
    'order': Part(
        claim='What a model knows is read off the order of the frames.',
        settings=('contrast', 'tvtsv2', 'time-qkv', 'contrast-things', 'tvtsv2-things'),
        rows=(*_LEARNT, *(
            Row(title=f"6 motions, the narrator's, frames {order}", measures=(f'frames/{order}', ),
                chance=_MOTION) for order in ('shuffled', 'reversed', 'single')))),
}
