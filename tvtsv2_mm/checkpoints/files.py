"""Read checkpoint files without trusting them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from .convert import CheckpointError


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint file on the CPU.

    Args:
        path: a `.safetensors` file, or a torch file that holds a state dict, bare or under the key
            `state_dict`. Torch files are read with ``weights_only=True``.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint file {path}')
    try:
        if path.suffix == '.safetensors':
            return load_file(path)
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise CheckpointError(f'{path} cannot be read as a checkpoint: {error}') from error
    if isinstance(checkpoint, Mapping):
        checkpoint = checkpoint.get('state_dict', checkpoint)
    if not isinstance(checkpoint, Mapping) or not all(
            isinstance(value, Tensor) for value in checkpoint.values()):
        raise CheckpointError(f'{path} holds no state dict (names and tensors)')
    return dict(checkpoint)
