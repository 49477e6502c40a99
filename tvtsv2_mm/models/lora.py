"""Low-rank adapters (LoRA, Hu et al., arXiv 2106.09685) in a tower, by peft."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import nn

from tvtsv2_mm.checkpoints.lora import SCALE
from tvtsv2_mm.utils.config_errors import check_options
from tvtsv2_mm.utils.extras import needed_for


def adapt(part: nn.Module, lora: Mapping[str, Any] | None) -> None:
    """Give a part the adapters that its option ``lora`` asks for; None asks for none.

    Raises:
        ValueError: ``lora`` is not what :func:`add_lora` takes.
    """
    if lora is not None:
        check_options(lora, add_lora, 'lora')
        add_lora(part, **lora)
        for child in part.children():
            # For mmengine's init_weights: transformers' would draw B too, which begins as 0.
            if hasattr(child, 'init_weights'):
                vars(child)['is_init'] = True


def add_lora(part: nn.Module, *, rank: int, alpha: int | None = None, dropout: float = 0.0,
             targets: Sequence[str] | None = None) -> None:
    """Let adapters learn in the place of a part's weights, in place.

    Each linear layer W of the part that would be trained (not those of frozen blocks) becomes
    W + alpha / rank * B A, with A (rank, I) random and B (O, rank) zero at the start: the outputs
    are at first what they were. A and B alone are trained then; W, biases, norms and embeddings
    stay. What is loaded into a part without adapters is merged, see
    :mod:`tvtsv2_mm.checkpoints.lora`.

    Args:
        part: a backbone or a neck.
        rank: r of A and B.
        alpha: sets the scale; None for the rank, a scale of 1.
        dropout: share of the adapters' inputs that is dropped in training.
        targets: last names of the layers, such as ``('qkv', 'proj')``; None takes all.

    Raises:
        ValueError: an argument is out of its range, or no such layer would be trained.
        MissingPackageError: peft is not installed.
    """
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(f'lora.rank must be a whole number of at least 1, not {rank!r}')
    alpha = rank if alpha is None else alpha
    if not isinstance(alpha, Real) or alpha <= 0:
        raise ValueError(f'lora.alpha must be a positive number, not {alpha!r}')
    if not isinstance(dropout, Real) or not 0 <= dropout < 1:
        raise ValueError(f'lora.dropout must lie in [0, 1), not {dropout!r}')
    # Not of classes that derive from it: who calls those may read their weight.
    layers = [name for name, module in part.named_modules()
              if type(module) is nn.Linear and module.weight.requires_grad]
    if targets is not None and not isinstance(targets, list | tuple):
        targets = [str(targets)]
    kinds = {name.split('.')[-1] for name in layers}
    if not layers or (targets is not None and not set(targets) <= kinds):
        raise ValueError(
            f'lora.targets: in {type(part).__name__} there are {", ".join(sorted(kinds))}, not '
            f'{", ".join(sorted({*(targets or ())} - kinds))}' if layers else
            f'lora: no linear layer of {type(part).__name__} would be trained (is it frozen?)')
    with needed_for('LoRA'):
        from peft import LoraConfig, inject_adapter_in_model
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=[
            name for name in layers if targets is None or name.split('.')[-1] in targets]), part)
    part.register_buffer(SCALE, torch.tensor(alpha / rank))
