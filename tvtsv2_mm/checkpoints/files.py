"""Read checkpoint files without trusting them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader
from safetensors.torch import load_file
from torch import Tensor

from .convert import CheckpointError


@CheckpointLoader.register_scheme(prefixes=r'.*\.safetensors$')
def load_safetensors(filename: str, map_location: Any = None) -> dict[str, Tensor]:
    """Teach mmengine's ``load_from`` and ``init_cfg`` to read safetensors files."""
    if not Path(filename).is_file():
        raise FileNotFoundError(f'there is no checkpoint {filename}')
    return load_file(filename, device=str(map_location or 'cpu'))


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint file on the CPU.

    Args:
        path: a `.safetensors` file, or a torch file that holds a state dict, bare or under the key
            `state_dict`. Torch files are read with ``weights_only=True``.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or holds something else.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    except FileNotFoundError:
        raise
    except Exception as error:
        raise CheckpointError(f'{path} cannot be read as a checkpoint: {error}') from error
    if isinstance(checkpoint, Mapping):
        checkpoint = checkpoint.get('state_dict', checkpoint)
    if not isinstance(checkpoint, Mapping) or not all(
            isinstance(value, Tensor) for value in checkpoint.values()):
        raise CheckpointError(f'{path} holds no state dict (names and tensors)')
    return dict(checkpoint)
