"""Where the ways of this folder are taken."""

import torch
from torch import Tensor


def is_for_cpu(x: Tensor) -> bool:
    """Whether x is to be computed with on a CPU, here: exported files want plain operations.

    So does what traces a model to count them (MMAction2's get_flops.py).
    """
    return x.device.type == 'cpu' and not _is_exporting() and not torch.jit.is_tracing()


@torch.compiler.assume_constant_result
def _is_exporting() -> bool:
    """torch's own flag, read as it is: Dynamo of torch 2.7 to 2.11 takes it for True everywhere.

    (In 2.7 it is not set where an export begins with Dynamo, which is ``strict=True``.)
    """
    return torch.compiler.is_exporting()
