"""What the shapes can be and do, and the words people use for it."""

from dataclasses import dataclass

# Far apart in hue or brightness, so that 4:2:0 video keeps them apart.
COLOURS: dict[str, tuple[int, int, int]] = {
    'red': (225, 40, 40),
    'green': (40, 190, 70),
    'blue': (60, 90, 240),
    'yellow': (240, 220, 40),
    'purple': (170, 60, 210),
    'white': (240, 240, 240),
}
SHAPES: tuple[str, ...] = ('circle', 'square', 'triangle')


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One way to move."""

    name: str  # the class name, as it fits behind "a shape "
    direction: tuple[int, int] = (0, 0)  # step in x and y; pixels grow to the right and downwards
    growth: int = 0  # 1 grows, -1 shrinks, 0 keeps its size
    finite: tuple[str, ...]  # phrases that fit behind "a red circle "
    continuous: tuple[str, ...]  # phrases that fit behind "we see a red circle "


# Every motion has its mirror in time beside it: played backwards, "moving left" is "moving right".
# The two have the same frames, so that no single frame, and no set of frames without order, tells
# which of them it is.
MOTIONS: tuple[Motion, ...] = (
    Motion(name='moving left', direction=(-1, 0),
           finite=('moves left', 'goes left', 'moves to the left'),
           continuous=('moving left', 'going to the left')),
    Motion(name='moving right', direction=(1, 0),
           finite=('moves right', 'goes right', 'moves to the right'),
           continuous=('moving right', 'going to the right')),
    Motion(name='moving up', direction=(0, -1),
           finite=('moves up', 'goes up', 'rises up'),
           continuous=('moving up', 'going up')),
    Motion(name='moving down', direction=(0, 1),
           finite=('moves down', 'goes down', 'drops down'),
           continuous=('moving down', 'going down')),
    Motion(name='growing', growth=1,
           finite=('grows', 'gets bigger', 'is growing'),
           continuous=('growing', 'getting bigger')),
    Motion(name='shrinking', growth=-1,
           finite=('shrinks', 'gets smaller', 'is shrinking'),
           continuous=('shrinking', 'getting smaller')),
)

FILLERS: tuple[str, ...] = ('um', 'uh', 'so', 'okay', 'you know', 'well', 'alright')
OPENINGS: tuple[str, ...] = ('now', 'now we see', 'here', 'and then', 'next', 'then')
# What a speech recogniser makes of a word now and then.
MISHEARD: dict[str, str] = {
    'red': 'read', 'green': 'grin', 'blue': 'blew', 'yellow': 'yell', 'purple': 'people',
    'white': 'why', 'circle': 'cycle', 'square': 'squared', 'triangle': 'tribal', 'left': 'lift',
    'right': 'write', 'up': 'op', 'down': 'town', 'grows': 'gross', 'growing': 'going',
    'shrinks': 'drinks', 'shrinking': 'drinking', 'bigger': 'beggar', 'smaller': 'small',
}
