"""Weights of any layout for a model, or for a part of one, checked to be of that model."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

from .convert import to_own_layout
from .description import Description, check_model, description_of
from .entries import take_weights
from .errors import naming


def fit_weights(given: Mapping[str, Tensor], own: Mapping[str, Tensor], model: Description, *,
                metadata: Mapping[str, Any], interpolate_positions: bool = False,
                report: dict) -> dict[str, Tensor]:
    """Convert a state dict for a model, and refuse one of a model that gives other numbers.

    Args:
        given: names and tensors, as in :func:`.convert.to_own_layout`; so are ``own``,
            ``interpolate_positions`` and ``report``, which is told ``assumed`` as well: lines on
            what is not known of the weights, or not taken. They are logged.
        own: the model's present state dict.
        model: what it was built with.
        metadata: of the root of ``given``; the report on its file is taken from them.

    Raises:
        CheckpointError: they do not fit. All differences are listed.
    """
    file = metadata.get('file')
    if file is not None:
        report['file'] = file
    with naming(file.get('path') if isinstance(file, Mapping) else None):
        converted = to_own_layout(
            given, own, interpolate_positions=interpolate_positions, report=report)
        told = description_of(
            (take_weights(given) or (given, ))[0], metadata, report['layout'])
        unknown, lines = check_model(told, model, report)
    if unknown:
        lines.append('not told by the weights, as in the model config: ' + ', '.join(
            f'{name}={value!r}' for name, value in unknown.items()))
    report['assumed'] = lines
    for line in lines:
        print_log(line, logger='current', level=logging.WARNING)
    return converted
