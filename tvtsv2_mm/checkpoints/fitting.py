"""Whether weights are those of a model: one comparison and one error, wherever they are loaded."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from torch import Tensor

from .entries import some
from .errors import CheckpointError
from .layouts import Layout
from .positions import SPATIAL, TEMPORAL

# Parts of a model that a config may leave out: their weights are then not needed.
OPTIONAL_PARTS = ('backbone.', 'neck.', 'contrastive_head.', 'sorting_head.', 'cls_head.')


def check_fit(given: Mapping[str, Tensor], own: Mapping[str, Tensor], layout: Layout, *,
              new: Collection[str] = (), unused: Sequence[str] = (),
              parts: Collection[str] = OPTIONAL_PARTS) -> None:
    """Refuse weights that are not those of a model.

    Args:
        given: the weights by the model's names.
        own: the model's state dict.
        layout: of the checkpoint.
        new: names of the model that may be missing.
        unused: names of the checkpoint that have no place in the model.
        parts: what the names of each part of the model begin with.

    Raises:
        CheckpointError: keys are missing or not used, sizes differ, or numbers are of another kind.
            All of them are listed; of a part that is another network altogether, a few.
    """
    start = f'the checkpoint (layout: {layout.name}) does not fit the model config'
    for part in parts:
        _check_kind(start, part, given, [key for key in own if key.startswith(part)
                                         and key not in new], unused)
    common = {key: (given[key], own[key]) for key in own if key in given}
    different = {key: f'{key}: {tuple(one.shape)} in the checkpoint, {tuple(other.shape)} by the '
                 'config' for key, (one, other) in common.items() if one.shape != other.shape}
    problems = {
        'sizes differ': different.values(),
        'missing in the checkpoint': _missing(
            [key for key in own if key not in given and key not in new], own, parts),
        'not used by the model': unused,
        'whole numbers, as of quantised weights': [
            f'{key}: {one.dtype}' for key, (one, other) in common.items()
            if other.is_floating_point() and not one.is_floating_point()]}
    lines = [f'{title}:\n  ' + '\n  '.join(found) for title, found in problems.items() if found]
    # Not where the patches or the width differ as well: then it is another model.
    if different and different.keys() <= {SPATIAL, TEMPORAL}:
        lines.append('(position tables are resized on request: interpolate_positions=True of '
                     "the model, or of a part's init_cfg; --interpolate-positions of "
                     'tools/convert_checkpoint.py)')
    if lines:
        raise CheckpointError(f'{start}.\n' + '\n'.join(lines))


def _check_kind(start: str, part: str, given: Mapping[str, Tensor], names: Sequence[str],
                unused: Sequence[str]) -> None:
    """One line where what the checkpoint has of a part is another network's."""
    lacking = [name for name in names if name not in given]
    others = [name for name in unused if name.startswith(part)]
    found = len(names) - len(lacking)
    if not lacking or not (found or others) or (
            2 * found >= max(len(names), found + len(others))):
        return
    raise CheckpointError(
        f'{start}: what it has of {part}* looks like another network: {found} of the {len(names)} '
        f"names of the config's are there; it lacks {some(lacking, 3)}"
        + (f', and has {some(others, 3)}, which the config\'s has not' if others else ''))


def whole_groups(missing: Collection[str], own: Iterable[str],
                 patterns: tuple[str, ...]) -> list[str]:
    """The missing keys that a layout calls new: only where a whole group of them is missing.

    Half a sorting head is an error, none at all is not.
    """
    found = []
    for pattern in patterns:
        group = [key for key in own if expression(pattern).match(key)]
        if all(key in missing for key in group):
            found += group
    return found


def _missing(missing: list[str], own: Mapping[str, Tensor], parts: Collection[str]) -> list[str]:
    """The missing keys; of a part that is missing as a whole its name, and what to do."""
    lines = list(missing)
    for part in parts:
        group = [key for key in own if key.startswith(part)]
        if group and set(group) <= set(missing) and len(group) < len(own):
            name = part.rstrip('.')
            lines = [key for key in lines if key not in group]
            lines.append(
                f'{part}*, the whole part: leave it out (model.{name}=None), or let each part take '
                f"weights of its own (model.{name}.init_cfg=dict(type='Pretrained', "
                'checkpoint=...)) instead of load_from')
    return lines


@cache
def expression(pattern: str) -> re.Pattern[str]:
    """A pattern of :mod:`.layouts` for names as a regular expression."""
    escaped = re.escape(pattern).replace(r'\{i\}', r'(?P<i>\d+)')
    return re.compile(escaped.replace(r'\{\*\}', '(?P<kind>weight|bias)'))
