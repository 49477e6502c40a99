"""Weights and the optimiser's state in shards: copied, and read from checkpoints."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.tensor import DTensor, distribute_tensor

from tvtsv2_mm.checkpoints import CheckpointError, sharded

# What mmengine's EMAHook adds to a checkpoint.
AVERAGES = 'ema_state_dict'


class WeightsAlone(nn.Module):
    """A copy of the weights and buffers of a sharded module, by their names and in its order.

    It takes whole weights and shards, and computes nothing: who averages weights swaps them in.
    """

    def __init__(self, module: nn.Module, memo: dict) -> None:
        super().__init__()
        for name, parameter in module.named_parameters(recurse=False):
            self._parameters[name] = memo.setdefault(
                id(parameter), nn.Parameter(parameter.detach().clone()))
        for name, buffer in module.named_buffers(recurse=False):
            self.register_buffer(name, memo.setdefault(id(buffer), buffer.detach().clone()),
                                 persistent=name not in module._non_persistent_buffers_set)
        for name, child in module.named_children():
            self._modules[name] = WeightsAlone(child, memo)
        self.register_load_state_dict_pre_hook(shard_given)


def only(state: Mapping[str, dict], wanted: Callable[[Any], bool]) -> dict[str, dict]:
    """The wanted values of a nested dictionary, without what is then empty."""
    parts = {name: {key: value for key, value in values.items() if wanted(value)}
             for name, values in state.items()}
    return {name: values for name, values in parts.items() if values}


def read_optimizer(folder: Path, parameters: Mapping[str, nn.Parameter]) -> dict[str, dict]:
    """The optimiser's tensors in a checkpoint, in shards as the weights are."""
    metadata = sharded.read_metadata(folder)
    tensors: dict[str, dict] = {}
    for place, entry in sharded.tensor_entries(metadata).items():
        if not place.startswith('optimizer.'):
            continue
        name, key = place.removeprefix('optimizer.').rsplit('.', 1)
        if name not in parameters:
            raise CheckpointError(f'{folder}: the optimiser has no weights {name}')
        dtype, parameter = entry.properties.dtype, parameters[name].detach()
        tensors.setdefault(name, {})[key] = (
            torch.zeros_like(parameter, dtype=dtype) if entry.size == parameter.shape
            else torch.zeros(entry.size, dtype=dtype))
    if tensors:
        sharded.load_into(folder, dict(optimizer=tensors), metadata)
    return tensors


def averages_in(metadata: Metadata, own: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Room for what EMAHook has saved, if it has, in shards as the model's own weights are."""
    place, entries = f'{AVERAGES}.', sharded.tensor_entries(metadata)
    saved = {name.removeprefix(place): entry for name, entry in entries.items()
             if name.startswith(place)}
    return {AVERAGES: {
        name: torch.zeros_like(own[name.removeprefix('module.')])
        if name.removeprefix('module.') in own
        else torch.zeros(entry.size, dtype=entry.properties.dtype)
        for name, entry in saved.items()}} if saved else {}


def shard_given(module: nn.Module, state_dict: dict, prefix: str, *_: Any) -> None:
    """Bring a module's whole weights in a state dict into the shards that the module has."""
    for name, parameter in module.named_parameters(recurse=False):
        if prefix + name in state_dict:
            state_dict[prefix + name] = shard_like(state_dict[prefix + name], parameter)


def shard_like(value: Any, parameter: nn.Parameter) -> Any:
    """A whole tensor of a weight's size in shards as the weight is; anything else as it is."""
    if (not isinstance(parameter, DTensor) or not isinstance(value, Tensor)
            or isinstance(value, DTensor) or value.shape != parameter.shape):
        return value
    # Every rank has the whole: none has to send any of it.
    shards = distribute_tensor(
        value, parameter.device_mesh, parameter.placements, src_data_rank=None)
    return shards.clone()  # not a view of the whole, which would stay in memory
