"""LoRA in state dicts: adapters beside weights, and weights that adapters were merged into.

By peft's names the layer X has ``X.base_layer.weight`` (O, I), its weight as it was,
``X.lora_A.default.weight`` (r, I) and ``X.lora_B.default.weight`` (O, r). What no name of peft's
tells is the scale s of W + s B A; the part that was given the adapters keeps it as ``lora_scale``.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from .errors import CheckpointError

SCALE = 'lora_scale'
_BASE = '.base_layer.'
_ADAPTER = re.compile(rf'\.lora_[AB]\.[^.]+\.weight$|(^|\.){SCALE}$')
_DOWN = re.compile(r'(.+)\.lora_A\.([^.]+)\.weight')


def adapters_of(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapters in a state dict, and their scales."""
    return {name: value for name, value in weights.items() if _ADAPTER.search(name)}


def without_adapters(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as of a model that was given no adapters: the weights as they were."""
    return {name.replace(_BASE, '.'): value for name, value in weights.items()
            if not _ADAPTER.search(name)}


def merge_lora(weights: Mapping[str, Tensor],
               kept: Collection[str] = ()) -> dict[str, Tensor]:
    """A state dict as of a model without adapters that gives the same outputs: W + s B A.

    Computed in float32 or float64, given in the dtype of W. Adapters whose names are ``kept`` are
    left out.

    Raises:
        CheckpointError: adapters do not fit a weight, or nobody tells their scale.
    """
    merged = without_adapters(weights)
    scales = {name.removesuffix(SCALE): value for name, value in weights.items()
              if name.split('.')[-1] == SCALE}
    for name, value in adapters_of(weights).items():
        found = _DOWN.fullmatch(name)
        if found is None or name in kept:
            continue
        layer, adapter = found.groups()
        up, weight = weights.get(f'{layer}.lora_B.{adapter}.weight'), merged.get(f'{layer}.weight')
        scale = next((scales[part] for part in scales if layer.startswith(part)), None)
        if scale is None or scale.numel() != 1:
            raise CheckpointError(f'the adapters of {layer} have no scale ({SCALE} of the part '
                                  'that they are in), so that they cannot be merged')
        if up is None or weight is None or any(x.ndim != 2 for x in (up, value, weight)) or (
                (up.shape[1], len(up), value.shape[1]) != (len(value), *weight.shape)):
            raise CheckpointError(f'the adapters of {layer} (lora_A, lora_B) do not fit its weight')
        dtype = torch.promote_types(weight.dtype, torch.float32)
        update = scale.to(dtype) * (up.to(dtype) @ value.to(dtype))
        merged[f'{layer}.weight'] = (weight.to(dtype) + update).to(weight.dtype)
    return merged


def fit_lora(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring weights of the same model, with adapters or without, to the names of ``own``.

    Adapters that ``own`` has as well are kept. Others are merged; the rest of ``own``'s stay as
    they are.
    """
    kept = common_adapters(given, own)
    return under_names_of(own, merge_lora(given, kept)) | adapters_of(own) | kept


def common_adapters(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapters in ``given`` of the parts that have them in ``own`` in the same layers, and of
    the same rank and scale.
    """
    common: dict[str, Tensor] = {}
    for part in (name.removesuffix(SCALE) for name in own if name.split('.')[-1] == SCALE):
        ours, theirs = ({name: value for name, value in adapters_of(weights).items()
                         if name.startswith(part)} for weights in (own, given))
        same = ({name: value.shape for name, value in ours.items()}
                == {name: value.shape for name, value in theirs.items()})
        scale = ours[part + SCALE]
        if same and (scale.is_meta or torch.equal(scale.cpu(), theirs[part + SCALE].cpu())):
            common |= theirs
    return common


def check_same_adapters(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Look whether a run whose model has the weights ``own`` can go on with those of a checkpoint.

    Raises:
        CheckpointError: one has adapters that the other has not, or of another rank or scale.
    """
    common = common_adapters(given, own)
    if not common.keys() == adapters_of(own).keys() == adapters_of(given).keys():
        raise CheckpointError(
            'its adapters (LoRA) are others than those of the config: a run goes on with the same '
            'lora (rank, alpha, targets) of model.backbone and model.neck')


def under_names_of(own: Mapping[str, Tensor], plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names that they have in a model with adapters."""
    names = {name.replace(_BASE, '.'): name for name in own if _BASE in name}
    return {names.get(name, name): value for name, value in plain.items()}


def without_lora(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model config whose parts are given no adapters: what loads weights merges them then."""
    return {key: {name: value for name, value in part.items() if name != 'lora'}
            if isinstance(part, Mapping) else part for key, part in model.items()}
