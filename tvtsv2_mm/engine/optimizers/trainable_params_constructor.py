"""Parameter groups: rates by name and by depth, no weight decay on biases, norms and scales."""

from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from tvtsv2_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableParamsConstructor:
    """Build the optimiser over the trainable parameters only.

    mmengine's default constructor gives frozen parameters to the optimiser too, and where a key is
    named its rules for biases and norms no longer hold. MMAction2's for rates by depth knows the
    names of two backbones of its own, mmpretrain's asks the model, which Recognizer3D cannot
    answer, and makes a group of each parameter. Hence this one.

    Args:
        optim_wrapper_cfg: with ``optimizer`` (type, lr, weight_decay, ...).
        paramwise_cfg: ``lr_mult``: {part of a parameter's name: factor of the learning rate}. The
            longest part that a name contains counts; a name without any has factor 1.
            ``layer_decay_rate``: factor of the learning rate of each block against the one behind
            it, in every part of the model that tells its depth (``get_layer_depth``, as backbones
            of mmpretrain do); what comes behind the blocks, and other parts, have 1.

    Raises:
        ValueError: a key of ``lr_mult`` is in no parameter's name, no part of the model tells its
            depth, or nothing is trainable.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        paramwise_cfg = dict(paramwise_cfg or {})
        self.lr_mult: dict[str, float] = dict(paramwise_cfg.pop('lr_mult', {}))
        self.layer_decay_rate: float = paramwise_cfg.pop('layer_decay_rate', 1.0)
        if paramwise_cfg:
            raise ValueError('paramwise_cfg knows only lr_mult and layer_decay_rate, not '
                             f'{", ".join(paramwise_cfg)}')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Group the parameters of a model (bare or wrapped) and build the optimiser wrapper."""
        bare: Any = getattr(model, 'module', model)
        norms = {parameter for module in bare.modules() if isinstance(module, NORMS)
                 for parameter in module.parameters(recurse=False)}
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        unused = set(self.lr_mult)
        for name, parameter in bare.named_parameters():
            keys = sorted((key for key in self.lr_mult if key in name), key=len)
            unused.difference_update(keys)
            if not parameter.requires_grad:
                continue
            factor = (self.lr_mult[keys[-1]] if keys else 1.0) * self._decay(bare, name)
            # A single number is a scale: that of VideoTextSigmoidHead.
            decayed = not (name.endswith('bias') or parameter in norms or parameter.numel() == 1)
            groups.setdefault((factor, decayed), []).append(parameter)
        if self.layer_decay_rate != 1 and not any(
                hasattr(part, 'get_layer_depth') for part in bare.children()):
            raise ValueError('optim_wrapper.paramwise_cfg.layer_decay_rate: no part of the model '
                             'tells its depth (get_layer_depth)')
        if unused:
            raise ValueError('optim_wrapper.paramwise_cfg.lr_mult names what no parameter is '
                             f'called: {", ".join(sorted(unused))}')
        if not groups:
            raise ValueError('no parameter of the model is trainable')

        config = dict(self.optim_wrapper_cfg)
        optimizer = dict(config.pop('optimizer'))
        optimizer['params'] = [
            dict(params=parameters, lr=optimizer['lr'] * factor) |
            ({} if decayed else dict(weight_decay=0.0))
            for (factor, decayed), parameters in groups.items()
        ]
        config.setdefault('type', 'OptimWrapper')
        return OPTIM_WRAPPERS.build(
            config, default_args=dict(optimizer=OPTIMIZERS.build(optimizer)))

    def _decay(self, model: nn.Module, name: str) -> float:
        prefix = name.partition('.')[0]
        part: Any = getattr(model, prefix)
        if self.layer_decay_rate == 1 or not hasattr(part, 'get_layer_depth'):
            return 1.0
        depth, number = part.get_layer_depth(name, f'{prefix}.')
        return self.layer_decay_rate ** (number - 1 - depth)
