"""The ways in which people write about the shapes: what a CLIP has read, and a narrator never says.

One register of speech is the narrator's (narration.py); these are the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tvtsv2_mm.preparation.narrated_shapes.events import THINGS, Thing


@dataclass(frozen=True, kw_only=True)
class Register:
    """Sentences with places for a thing and for what it does, and the words that go there."""

    sentences: tuple[str, ...]  # with {thing} and {motion}
    motions: tuple[str, ...]  # in the order of MOTIONS
    words: Mapping[str, str] = field(default_factory=dict)  # of colours and shapes, if not its own

    def thing(self, colour: str, shape: str) -> str:
        """A colour and a shape in the words of this register."""
        return f'{self.words.get(colour, colour)} {self.words.get(shape, shape)}'

    def describe(self, rng: np.random.Generator, thing: Thing, motion: int) -> str:
        """One sentence about a thing and its motion, an index of MOTIONS."""
        sentence = self.sentences[rng.integers(len(self.sentences))]
        return sentence.format(thing=self.thing(*thing), motion=self.motions[motion])

    def motion_prompts(self) -> tuple[list[str], list[str]]:
        """The motions as classes, and templates of a ZeroShotHead: each sentence of each thing."""
        things = [self.thing(*thing) for thing in THINGS]
        return list(self.motions), [sentence.format(thing=thing, motion='{}')
                                    for sentence in self.sentences for thing in things]

    def thing_prompts(self) -> tuple[list[str], list[str]]:
        """The colours and shapes as classes, and templates: each sentence of each motion."""
        things = [self.thing(*thing) for thing in THINGS]
        return things, [sentence.format(thing='{}', motion=motion)
                        for sentence in self.sentences for motion in self.motions]


_WALKS = ('moving left', 'moving right', 'moving up', 'moving down', 'growing', 'shrinking')
REGISTERS: dict[str, Register] = {
    # As a narrator says it, without what a recogniser mishears.
    'narration': Register(
        sentences=('the {thing} it is {motion}', 'something {motion} a {thing}'),
        motions=_WALKS),
    'caption': Register(
        sentences=('a {thing} {motion}', 'a picture of a {thing} {motion}',
                   'the scene shows a {thing} {motion}'),
        motions=_WALKS),
    'command': Register(
        sentences=('make the {thing} {motion}', 'let a {thing} {motion}', '{motion} , {thing} !'),
        motions=('go left', 'go right', 'go up', 'go down', 'grow', 'shrink')),
    'question': Register(
        sentences=('is the {thing} {motion} ?', 'why is a {thing} {motion} ?',
                   'what is {motion} ? is it a {thing} ?'),
        motions=_WALKS),
    'web': Register(
        sentences=('{thing} {motion} free hd clip download', 'img 0042 {thing} {motion} 4 k',
                   'best {thing} {motion} gif | shop now'),
        motions=('left shift', 'right shift', 'up shift', 'down shift', 'zoom in', 'zoom out')),
    'synonyms': Register(
        sentences=('a {thing} {motion}', 'some {thing} that keeps {motion}'),
        motions=('drifting west', 'drifting east', 'climbing', 'sinking', 'swelling', 'dwindling'),
        words={'red': 'crimson', 'green': 'emerald', 'blue': 'navy', 'yellow': 'golden',
               'purple': 'violet', 'white': 'snowy', 'circle': 'disc', 'square': 'box',
               'triangle': 'pyramid'}),
}
