"""What the metrics read of a data sample."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def read(sample: Mapping[str, Any], key: str, metric: str, remedy: str) -> np.ndarray:
    """Read a tensor of a data sample as numpy array.

    Raises:
        KeyError: the sample lacks it; says which sample, which metric, and what to do.
    """
    if sample.get(key) is None:
        raise KeyError(f'{metric} needs {key!r} of every data sample, and '
                       f'{sample.get("sample_id", "a sample")} has none: {remedy}')
    value = sample[key]
    return value.float().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def read_label(sample: Mapping[str, Any], metric: str) -> int:
    """Read the one label of a data sample."""
    label = read(sample, 'gt_label', metric, 'the annotation must give it (label or answer)')
    return int(label.reshape(-1)[0])
