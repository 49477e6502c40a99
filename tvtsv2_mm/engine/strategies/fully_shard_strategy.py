"""Training of models that do not fit a GPU: everything sharded, on torch's ``fully_shard``."""

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial, wraps
from inspect import unwrap
from itertools import chain
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine._strategy import SingleDeviceStrategy
from mmengine.device import get_device
from mmengine.dist import get_backend, init_dist, is_distributed
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.utils import get_git_hash
from torch import Tensor, nn
from torch.distributed import ReduceOp
from torch.distributed._composable import checkpoint as recompute
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor

from tvtsv2_mm.checkpoints import CheckpointError, sharded
from tvtsv2_mm.checkpoints.description import check_model, describe, description_of
from tvtsv2_mm.checkpoints.entries import check_values
from tvtsv2_mm.checkpoints.errors import naming
from tvtsv2_mm.checkpoints.files import load_from_disk
from tvtsv2_mm.checkpoints.lora import SCALE, adapters_of, check_same_adapters, common_adapters
from tvtsv2_mm.registry import STRATEGIES

from .shards import (
    AVERAGES,
    WeightsAlone,
    averages_in,
    only,
    read_optimizer,
    shard_given,
    shard_like,
)

# float16 is not among them: it would need its loss scaled.
DTYPES = {name: getattr(torch, name) for name in ('bfloat16', 'float32')}
# What uses a unit's weights without its forward.
FORWARD_METHODS = ('idle', )


@STRATEGIES.register_module()
class FullyShardStrategy(SingleDeviceStrategy):
    """Weights, gradients and optimiser state in shards on all ranks, for ``FlexibleRunner``.

    A rank holds 1 / W of everything, and gathers the weights of a unit while it computes with
    them. Losses and weights are those of DDP. On one process that no launcher has started nothing
    is sharded, and ``mixed_precision`` does nothing; the checkpoints are the same.

    Checkpoints are folders (:mod:`tvtsv2_mm.checkpoints.sharded`): any number of ranks resumes
    from them, and everything that takes a checkpoint takes them. A run can also resume from the
    file of a plain ``Runner``. Not supported: several optimisers, float16.

    mmengine's ``EMAHook`` averages shards: a deep copy of the model is its weights and buffers in
    shards, without the code (:class:`WeightsAlone`).

    Args:
        units: names of the classes whose modules are gathered one by one; the rest of the model
            is one more unit, gathered all the time. The sorting head must be in one piece, for it
            uses all its weights at once where there is nothing to sort.
        mixed_precision: ``param_dtype`` to compute in and ``reduce_dtype`` to add gradients up
            in, each 'bfloat16' or 'float32'. The shards and the optimiser stay in float32.
        activation_checkpointing: keep only the inputs of each unit, and compute it again in the
            backward: less memory, about a third more computing.
        gather_once: keep the weights of a unit whole from its first forward of a step to the step
            of the optimiser. They are gathered once for it instead of twice (with
            ``model.micro_batch_size`` instead of twice for each part), but every rank holds all
            weights in ``param_dtype`` by then; losses and gradients are the same. Between steps,
            done or left out, and after a forward without gradients there are shards alone.
        **kwargs: of mmengine's ``BaseStrategy``; the runner gives them.

    Raises:
        ValueError: an unknown key or dtype in ``mixed_precision``; the model has none of the
            units; the optimiser wrapper is of a kind that is not supported.
    """

    def __init__(self,
                 *,
                 units: Sequence[str] = ('SpaceTimeBlock', 'CLIPEncoderLayer',
                                         'SiglipEncoderLayer', 'TranscriptSortingHead'),
                 mixed_precision: dict | None = None,
                 activation_checkpointing: bool = False,
                 gather_once: bool = False,
                 **kwargs) -> None:
        self.units = tuple(units)
        self.gather_once = gather_once
        self.policy = _policy(mixed_precision or {})
        self.activation_checkpointing = activation_checkpointing
        self._adapters: dict[str, Tensor] = {}  # LoRA's, in the checkpoint that was loaded last
        super().__init__(**kwargs)

    def _setup_distributed(self, launcher: str, backend: str = 'nccl', **kwargs) -> None:
        init_dist(launcher, backend, **kwargs)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        units = [module for module in model.modules() if type(module).__name__ in self.units]
        if not units:
            raise ValueError(f'strategy.units: the model has no module of the classes '
                             f'{", ".join(self.units)}; it has '
                             f'{", ".join(sorted({type(x).__name__ for x in model.modules()}))}')
        _check_forward_methods(model, units)
        if is_distributed() and getattr(model, 'micro_batch_size', None) and not gathers_again():
            raise ValueError(f'model.micro_batch_size: the parts of a batch would get wrong '
                             f'gradients in shards with torch {torch.__version__}, which gathers '
                             'no weights for a forward in the backward pass; take a newer torch, '
                             'or leave the option out')
        if self.activation_checkpointing:
            for unit in units:
                # By hooks, inside of those that gather and drop the weights: no module is wrapped,
                # so the names of the weights stay, and a forward that is compiled later is inside.
                recompute(unit)
        device = get_device()
        if is_distributed():
            # True of the logits of the sorting head; nobody writes into them.
            warnings.filterwarnings('ignore', message='.*returned a view tensor')
            mesh = init_device_mesh(torch.device(device).type, (self.world_size, ))
            for unit in [*reversed(units), model]:  # the inner ones first
                if self.gather_once:
                    fully_shard(
                        unit, mesh=mesh, mp_policy=self.policy, reshard_after_forward=False,
                    ).set_reshard_after_backward(False, recurse=False)
                else:
                    fully_shard(unit, mesh=mesh, mp_policy=self.policy)
                for method in FORWARD_METHODS:
                    if hasattr(unit, method):
                        register_fsdp_forward_method(unit, method)
            # Around torch's own hooks, which keep the model's own weights whole after any forward,
            # and all of them with gather_once: who swaps weights for a validation, and back after
            # it, writes to the shards.
            model.register_forward_pre_hook(self._reshard_without_grad, prepend=True)
            model.register_forward_hook(self._reshard_without_grad)
            # torch refuses to copy what is sharded; EMAHook needs no more of a copy than this.
            vars(model)['__deepcopy__'] = partial(self._weights_alone, model)
        else:
            self.logger.info('one process without a launcher: nothing is sharded, and '
                             'strategy.mixed_precision is not used')
        return model.to(device)

    def build_optim_wrapper(self, optim_wrapper: Any,
                            model: nn.Module | None = None) -> OptimWrapper:
        """Build the optimiser over the shards.

        Raises:
            ValueError: it is no single optimiser, it scales the loss, or torch would add up the
                gradients of ranks where it should average them.
        """
        if is_distributed() and not averages(get_device()):
            raise ValueError(f'FullyShardStrategy: the backend {get_backend()} of torch '
                             f'{torch.__version__} adds the gradients of the ranks up where it '
                             'should average them; take a newer torch, or train on GPUs')
        wrapper = super().build_optim_wrapper(optim_wrapper, model)
        if not isinstance(wrapper, OptimWrapper):
            raise ValueError('FullyShardStrategy takes one optimiser in an OptimWrapper, not '
                             f'{type(wrapper).__name__}')
        if isinstance(wrapper, AmpOptimWrapper):
            raise ValueError("FullyShardStrategy does not scale losses: take an OptimWrapper, and "
                             "strategy.mixed_precision=dict(param_dtype='bfloat16')")
        if self.gather_once:  # what was gathered is old then
            wrapper.optimizer.register_step_post_hook(lambda *_: self._reshard())
            # With this a step ends even where the optimiser's own was left out.
            wrapper.zero_grad = self._resharding_after(wrapper.zero_grad)
        if wrapper.clip_grad_kwargs:
            wrapper.clip_func = partial(_whole_norm, wrapper.clip_func)
        return wrapper

    def model_state_dict(self) -> dict[str, Tensor]:
        """The weights, in shards where they are sharded."""
        return self.model.state_dict()

    def load_model_state_dict(self, state_dict: dict, **kwargs: Any) -> None:
        """Load whole weights; each rank takes what is its own."""
        self._reshard()
        hooks = [module.register_load_state_dict_pre_hook(shard_given)
                 for module in self.model.modules()]
        try:
            super().load_model_state_dict(state_dict, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    def optim_state_dict(self) -> dict:
        """The state of the optimiser wrapper, by the names of the weights."""
        names = list(self._optimized())
        state_dict = self.optim_wrapper.state_dict()
        state_dict['state'] = {names[i]: value for i, value in state_dict['state'].items()}
        for group in state_dict['param_groups']:
            group['params'] = [names[i] for i in group['params']]
        return state_dict

    def load_optim_state_dict(self, state_dict: dict | None) -> None:
        """Load the state of a checkpoint: that of :meth:`load_checkpoint`, or a plain run's.

        Raises:
            CheckpointError: there is none, or it is of an optimiser with other weights, or other
                adapters.
        """
        check_same_adapters(self._adapters, self.model_state_dict())
        if state_dict is None:
            raise CheckpointError('the checkpoint has no state of an optimiser, so that nothing '
                                  'can go on from it: give it as load_from')
        parameters = self._optimized()
        folder = state_dict.pop('folder', None)
        if folder is None:  # of a plain run: whole, and by number
            state = {i: {key: shard_like(value, parameter) for key, value in
                         state_dict['state'].get(i, {}).items()}
                     for i, parameter in enumerate(parameters.values())}
        else:
            self._check_groups(state_dict['param_groups'])
            # By name, which torch takes for numbers.
            tensors = read_optimizer(folder, parameters)
            kept = state_dict.get('state', {})  # none of an optimiser that keeps nothing
            state = {name: kept.get(name, {}) | tensors.get(name, {})
                     for name in parameters}
        state_dict['state'] = {key: values for key, values in state.items() if values}
        self.optim_wrapper.load_state_dict(state_dict)

    def load_checkpoint(self, filename: str, *, strict: bool = False,
                        revise_keys: Sequence = ((r'^module.', ''), ),
                        callback: Callable | None = None, **kwargs: Any) -> dict:
        """Load the weights of a checkpoint of any kind, and read what else is in it.

        Raises:
            CheckpointError: a folder is damaged or incomplete, or the weights do not fit.
        """
        if not sharded.is_sharded(filename):
            checkpoint = super().load_checkpoint(
                filename, map_location='cpu', strict=strict, revise_keys=list(revise_keys),
                callback=self._note_adapters)
        else:
            folder = Path(filename).expanduser()
            self.logger.info(f'Load checkpoint from {folder}')
            checkpoint = self._load_weights(folder, strict=strict, revise_keys=list(revise_keys))
        # Hooks find the weights as the model names and holds them, of whatever layout the file is.
        own = self.model_state_dict()
        checkpoint['state_dict'] = dict(own)
        if callback is not None:
            callback(checkpoint)
        changed = {name: value for name, value in checkpoint.pop('state_dict').items()
                   if value is not own.get(name)}
        if changed:  # by EMAHook, which has put those in training where the averaged ones were
            self.load_model_state_dict(changed)
        # So that mmengine's resume asks load_optim_state_dict in any case.
        checkpoint.setdefault('optimizer', None)
        return checkpoint

    def save_checkpoint(self, filename: str, *, save_optimizer: bool = True,
                        save_param_scheduler: bool = True, extra_ckpt: dict | None = None,
                        callback: Callable | None = None) -> None:
        """Write a checkpoint folder; every rank writes what it holds.

        Raises:
            OSError: it could not be written.
        """
        checkpoint: dict[str, Any] = dict(state_dict=self.model_state_dict())
        if save_optimizer and hasattr(self, 'optim_wrapper'):
            checkpoint['optimizer'] = self.optim_state_dict()
        if save_param_scheduler and hasattr(self, 'param_schedulers'):
            checkpoint['param_schedulers'] = self.scheduler_state_dict()
        checkpoint |= extra_ckpt or {}
        checkpoint['meta'] = checkpoint.get('meta', {}) | dict(
            seed=self.seed, time=time.strftime('%Y%m%d_%H%M%S'),
            mmengine=mmengine.__version__ + get_git_hash())
        if callback is not None:
            callback(checkpoint)

        tensors = {key: checkpoint.pop(key) for key in ('state_dict', AVERAGES)
                   if key in checkpoint}
        state = checkpoint.get('optimizer', {}).pop('state', {})
        if state:
            tensors['optimizer'] = only(state, lambda value: isinstance(value, Tensor))
            checkpoint['optimizer']['state'] = only(
                state, lambda value: not isinstance(value, Tensor))
        sharded.save_sharded(Path(filename).expanduser(), tensors, checkpoint)

    def _load_weights(self, folder: Path, **options: Any) -> dict:
        own, metadata = self.model_state_dict(), sharded.read_metadata(folder)
        saved = {name.removeprefix('state_dict.'): entry.size
                 for name, entry in sharded.tensor_entries(metadata).items()
                 if name.startswith('state_dict.')}
        checkpoint: dict[str, Any] = sharded.read_run_state(folder) | dict(state_dict=own)
        # Of the adapters the scales alone are compared by value.
        scales = {name: value.clone() for name, value in own.items()
                  if name.split('.')[-1] == SCALE and saved.get(name) == value.shape}
        if scales:
            sharded.load_into(folder, dict(state_dict=scales), metadata)
        given = {name: torch.empty(size, device='meta') for name, size in saved.items()} | scales
        self._note_adapters(dict(state_dict=given))
        if ({name: value.shape for name, value in own.items()} == saved
                and common_adapters(given, own).keys() == self._adapters.keys()):
            check_model(description_of({}, checkpoint), describe(self.model),
                        dict(new=(), resized=()))
            # Each rank reads what it needs.
            tensors = dict(state_dict=own) | averages_in(metadata, own)
            sharded.load_into(folder, tensors, metadata)
            with naming(folder):
                for weights in tensors.values():
                    check_values({name: value.to_local() if isinstance(value, DTensor) else value
                                  for name, value in weights.items()})
            checkpoint |= tensors
        else:
            self.load_model_state_dict(load_from_disk(folder)['state_dict'], **options)
        if 'optimizer' in checkpoint:
            checkpoint['optimizer']['folder'] = folder
        return checkpoint

    def _note_adapters(self, checkpoint: dict) -> None:
        self._adapters = adapters_of(checkpoint.get('state_dict', {}))

    def _check_groups(self, saved: Sequence[dict]) -> None:
        own, there = ([group['params'] for group in groups]
                      for groups in (self.optim_state_dict()['param_groups'], saved))
        if own == there:
            return
        different = sorted({*chain(*own)} ^ {*chain(*there)})
        raise CheckpointError(
            'the optimiser of the checkpoint cannot go on: it has other weights, or other groups '
            'of them, than this config gives. Resume with the same config, or give the checkpoint '
            f'as load_from. Weights of one alone: {", ".join(different[:8]) or "none"}')

    def _optimized(self) -> dict[str, nn.Parameter]:
        """The optimiser's weights by name, in its order."""
        self._reshard()
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        return {names[parameter]: parameter
                for group in self.optim_wrapper.optimizer.param_groups
                for parameter in group['params']}

    def _reshard(self) -> None:
        """Give the model its shards, where it has whole weights after a forward."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def _weights_alone(self, model: nn.Module, memo: dict) -> 'WeightsAlone':
        self._reshard()
        return WeightsAlone(model, memo)

    def _reshard_without_grad(self, *_: Any) -> None:
        if not torch.is_grad_enabled():
            self._reshard()

    def _resharding_after(self, function: Callable) -> Callable:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> None:
            function(*args, **kwargs)
            self._reshard()
        return call


def _check_forward_methods(model: nn.Module, units: Sequence[nn.Module]) -> None:
    for module in model.modules():
        if not any(hasattr(module, method) for method in FORWARD_METHODS):
            continue
        inner = {type(part).__name__ for part in module.modules()
                 if part is not module and part in units}
        if inner:
            raise ValueError(f'strategy.units: {", ".join(inner)} is inside of a '
                             f'{type(module).__name__}, which uses its weights in one piece; name '
                             f'{type(module).__name__} alone')


def _policy(mixed_precision: dict) -> MixedPrecisionPolicy:
    unknown = {*mixed_precision} - {'param_dtype', 'reduce_dtype'}
    if unknown:
        raise ValueError('strategy.mixed_precision knows param_dtype and reduce_dtype, not '
                         f'{", ".join(sorted(unknown))}')
    for key, name in mixed_precision.items():
        if name not in DTYPES:
            raise ValueError(f'strategy.mixed_precision.{key} must be one of {", ".join(DTYPES)}, '
                             f'not {name!r}')
    if not mixed_precision:
        return MixedPrecisionPolicy()
    return MixedPrecisionPolicy(
        param_dtype=DTYPES[mixed_precision.get('param_dtype', 'float32')],
        reduce_dtype=DTYPES[mixed_precision.get('reduce_dtype', 'float32')])


def _whole_norm(clip: Callable, parameters: list[Tensor], **kwargs: Any) -> Tensor | None:
    """Clip, and return the norm over all ranks, which torch leaves to be added up."""
    norm = clip(parameters, **kwargs)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def averages(device: str) -> bool:
    """Whether gradients that are shared out are averaged; gloo of torch 2.7 adds them up."""
    group = torch.distributed.distributed_c10d._get_default_group()
    options = torch.distributed.ReduceScatterOptions()
    options.reduceOp = ReduceOp(ReduceOp.AVG)
    found = torch.empty(1, device=device)
    group._reduce_scatter_base(found, torch.ones(group.size(), device=device), options).wait()
    return found.item() == 1


def gathers_again() -> bool:
    """Whether torch gathers a unit's weights for a forward in the backward pass; 2.7 does not."""
    from torch.distributed.fsdp._fully_shard._fsdp_state import FSDPState
    return 'unshard' in unwrap(FSDPState._pre_forward).__code__.co_names
