"""What mmengine's own checkpoints may hold beside tensors, and what it must not find in them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer


def leave_out_what_mmengine_obeys(checkpoint: Any) -> None:
    """Take out what a file must not decide when a run resumes from it.

    ``Runner.resume`` runs the text ``meta.config`` (written by mmcv 1) as Python, and
    CheckpointHook deletes the file or folder that the message hub calls ``best_ckpt``, and those
    whose names have one of ``keep_ckpt_ids``, which are numbers.
    """
    meta, hub = (_within(checkpoint, name) for name in ('meta', 'message_hub'))
    for entries, obeyed in ((meta, ('config', )),
                            (_within(hub, 'runtime_info'), ('best_ckpt', 'keep_ckpt_ids'))):
        for name, value in [*entries.items()]:
            numbers = (str(name).startswith('keep_ckpt_ids') and isinstance(value, list)
                       and all(type(number) is int for number in value))
            if str(name).startswith(obeyed) and not numbers:
                del entries[name]


def _within(entries: Any, name: str) -> dict:
    found = entries.get(name) if isinstance(entries, dict) else None
    return found if isinstance(found, dict) else {}


def allowed_in_checkpoints() -> list[Any]:
    """What mmengine's message hub and schedulers put in a checkpoint beside tensors."""
    # numpy 1 and 2 keep these two under different names; a checkpoint of either is readable.
    rebuilders: list[Any] = [value.__reduce__()[0] for value in (np.zeros(1), np.float64(0))]
    return [
        HistoryBuffer,
        (_history_buffer_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(kind)) for kind in (bool, np.int32, np.int64, np.float32, np.float64)},
        *((rebuild, f'numpy.{core}.multiarray.{rebuild.__name__}')
          for rebuild in rebuilders for core in ('core', '_core')),
    ]


def _history_buffer_method(owner: Any, name: str) -> Callable[..., Any]:
    """All of ``getattr`` that a checkpoint of mmengine needs: a buffer pickles its statistics."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise ValueError(f'the checkpoint asks for the attribute {name!r} of {owner!r}, which no '
                         'checkpoint needs: do not trust this file')
    return getattr(HistoryBuffer, name)
