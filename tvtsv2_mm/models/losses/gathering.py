"""The rows of all ranks."""

import torch
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


def gather_rows(*tensors: Tensor) -> list[Tensor]:
    """The rows of all ranks, in one exchange: each of them waits for the slowest rank.

    Args:
        tensors: (b, ...), of one dtype; every rank has the same shapes.

    Returns:
        (W * b, ...) each, in the order of the W ranks; without a gradient.
    """
    if get_world_size() == 1:
        return list(tensors)
    columns = [x.view(len(x), -1) for x in tensors]
    rows = torch.cat(all_gather(torch.cat(columns, dim=1)))
    parts = rows.split([x.shape[1] for x in columns], dim=1)
    return [part.reshape(-1, *x.shape[1:]) for part, x in zip(parts, tensors, strict=True)]
