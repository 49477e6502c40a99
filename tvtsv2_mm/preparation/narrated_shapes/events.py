"""What happens in a video: random events, before any pixel or word exists."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tvtsv2_mm.preparation.narrated_shapes.vocabulary import COLOURS, MOTIONS, SHAPES, Motion

Thing = tuple[str, str]  # colour, shape
THINGS: tuple[Thing, ...] = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
HOLD = 0.06  # share of an event in which the shape rests, at its start and again at its end


@dataclass(frozen=True, kw_only=True)
class Event:
    """One shape doing one thing; places and sizes are shares of the frame's side."""

    colour: str  # a key of COLOURS
    shape: str  # one of SHAPES
    motion: Motion
    start: float  # seconds from the start of the video
    end: float
    centre: tuple[float, float]  # middle of the path, x and y
    reach: float  # half the length of the path; 0 when it stays
    radius: tuple[float, float]  # at the start and at the end

    def progress(self, seconds: np.ndarray) -> np.ndarray:
        """How far the motion is at some times: 0 at the start, 1 at the end, held at both."""
        share = (seconds - self.start) / (self.end - self.start)
        return np.clip((share - HOLD) / (1 - 2 * HOLD), 0.0, 1.0)

    def placement(self, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre x, centre y and radius, each (T,) as a share of the side, at times (T,)."""
        done = self.progress(seconds)
        step_x, step_y = self.motion.direction
        along = self.reach * (2 * done - 1)
        first, last = self.radius
        return (self.centre[0] + step_x * along, self.centre[1] + step_y * along,
                first + (last - first) * done)


def draw_event(rng: np.random.Generator, *, thing: Thing, motion: Motion, start: float,
               end: float) -> Event:
    """Draw where and how large an event is.

    Mirrored motions (left and right, grows and shrinks) are drawn from one distribution and
    differ in the direction of time alone.
    """
    if motion.growth:
        ends = (rng.uniform(0.07, 0.10), rng.uniform(0.26, 0.30))
        centre = (rng.uniform(0.36, 0.64), rng.uniform(0.36, 0.64))
        radius = ends if motion.growth > 0 else ends[::-1]
        reach = 0.0
    else:
        size = rng.uniform(0.16, 0.20)
        across, middle = rng.uniform(0.25, 0.75), rng.uniform(0.48, 0.52)
        centre = (middle, across) if motion.direction[0] else (across, middle)
        radius, reach = (size, size), rng.uniform(0.26, 0.29)
    return Event(colour=thing[0], shape=thing[1], motion=motion, start=start, end=end,
                 centre=centre, reach=reach, radius=radius)


def draw_story(rng: np.random.Generator, *, num_events: int, event_seconds: tuple[float, float],
               num_things: int | None = None, things: Sequence[Thing] = THINGS) -> list[Event]:
    """Draw the events of one video, one after the other without a pause.

    With few things in many events, the things alone do not tell the events apart: whoever wants to
    know which event came first has to see what moved how, and when.

    Args:
        rng: Source of all randomness.
        num_events: How many events.
        event_seconds: Shortest and longest event in seconds.
        num_things: How many different shapes take turns; None draws one or two (a fifth of the
            videos each) or one per event (the others).
        things: which shapes there are to draw from.

    Returns:
        In order of time. Up to six events all move differently.
    """
    if num_things is None:
        num_things = int(rng.choice([1, 2, num_events], p=[0.2, 0.2, 0.6]))
    chosen = rng.permutation(len(things))[:max(1, min(num_things, num_events))]
    turns = [things[chosen[i % len(chosen)]] for i in range(num_events)]
    motions = np.concatenate([rng.permutation(len(MOTIONS))
                              for _ in range(-(-num_events // len(MOTIONS)))])
    events, start = [], 0.0
    for thing, motion in zip(turns, motions[:num_events], strict=True):
        end = start + float(rng.uniform(*event_seconds))
        events.append(draw_event(rng, thing=thing, motion=MOTIONS[motion], start=start, end=end))
        start = end
    return events
