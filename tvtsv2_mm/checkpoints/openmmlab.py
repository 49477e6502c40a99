"""Weights of MMAction2's and mmpretrain's models for a backbone of theirs in a model of ours.

:class:`tvtsv2_mm.models.OpenMMLabBackbone` keeps their network under ``backbone.net``; their
checkpoints hold it under ``backbone``, beside a head that has no place here, or by its own names.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor

from .entries import check_values, describe, some, unwrap
from .errors import CheckpointError
from .layouts import HEADS, Layout

PLACE = 'backbone.net.'
OPENMMLAB = Layout(name='OpenMMLab', marker=PLACE, rules=(),
                   new=('backbone.projection.', 'neck.', *HEADS))
OWN = Layout(name='tvtsv2_mm', marker=PLACE, rules=(), new=HEADS)


def is_foreign(own: Iterable[str]) -> bool:
    """Whether a model with such names has a backbone of theirs."""
    return any(key.startswith(PLACE) for key in own)


def name_backbone(given: Mapping[str, Tensor], own: Iterable[str]) -> tuple[
        dict[str, Tensor], Layout, list[str]]:
    """Name the weights of a checkpoint as a model with a backbone of theirs does.

    Args:
        given: names and tensors: of such a model of ours; of a model of theirs
            (``backbone.``...); or of the network alone.
        own: names of the model.

    Returns:
        The weights by our names, their layout, and the names that were left, which are of other
        parts of their model.

    Raises:
        CheckpointError: it is none of them, or has values that are not finite.
    """
    weights = {unwrap(key)[0]: value for key, value in given.items() if isinstance(value, Tensor)}
    check_values(weights)
    if is_foreign(weights):
        return weights, OWN, []
    named = {PLACE + key.removeprefix('backbone.'): value for key, value in weights.items()
             if key.startswith('backbone.')}
    if named:
        return named, OPENMMLAB, [key for key in weights if not key.startswith('backbone.')]
    network = {key.removeprefix(PLACE) for key in own if key.startswith(PLACE)}
    if not network & weights.keys():
        raise CheckpointError(
            'its names are neither those of an OpenMMLab model (backbone. before those of the '
            f"network) nor of the network itself, as {some(sorted(network), 3)}. It has: "
            f'{describe(given)}')
    # A head beside them has a name of its own; further blocks do not.
    parts = {key.split('.')[0] for key in network}
    named = {PLACE + key: value for key, value in weights.items() if key.split('.')[0] in parts}
    return named, OPENMMLAB, [key for key in weights if key.split('.')[0] not in parts]
