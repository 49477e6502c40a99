"""What a backbone and a neck share: weights of their own from any checkpoint."""

import re
from collections.abc import Mapping
from typing import Any, cast

from mmengine.model import BaseModule, PretrainedInit
from mmengine.runner.checkpoint import _load_checkpoint
from torch import Tensor

from tvtsv2_mm.checkpoints import CheckpointError, Description
from tvtsv2_mm.checkpoints.convert import fit_weights, whole_groups
from tvtsv2_mm.checkpoints.description import RECORD, metadata_of
from tvtsv2_mm.checkpoints.layouts import TIME
from tvtsv2_mm.checkpoints.lora import adapters_of, fit_lora


class PretrainedPart(BaseModule):
    """A part of a VideoTextModel, which others may build into models of their own.

    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` takes its weights out of every layout that
    :mod:`tvtsv2_mm.checkpoints` knows, and is an error where they do not fit: mmengine would take
    what has the part's own names, or nothing, and go on. ``interpolate_positions=True`` beside them
    resizes its position tables, as that of VideoTextModel does.

    In a model of others (a recognizer of MMAction2) the weights of the whole, ``load_from``, are
    those of such a model; what has none for this part, not all (but for what is new in time), more
    than it has, or other sizes, is an error as well.

    Attributes:
        part: its name in the model's config.
        block_list: the name of the list of its blocks.
        behind_blocks: the parts of it behind the blocks.
        built_with: its arguments that decide the numbers.
        load_report: what :meth:`init_weights` took, and what not; see ``fit_weights``.
    """

    part: str
    block_list: str
    behind_blocks: tuple[str, ...]
    built_with: dict
    load_report: dict | None = None

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self._register_state_dict_hook(_record_part)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Where a parameter stands in depth, as mmpretrain's backbones tell it.

        Args:
            param_name: its name in the model, which begins with ``prefix``.
            prefix: of this part's names in the model.

        Returns:
            0 of what comes before the blocks, 1 of the first block, and so on, and of what comes
            behind them the highest; and how many there are, which is 2 more than there are blocks.
        """
        name, layers = param_name.removeprefix(prefix), self.built_with['layers']
        block = re.match(rf'{re.escape(self.block_list)}\.(\d+)\.', name)
        if block:
            return int(block[1]) + 1, layers + 2
        return (layers + 1 if name.startswith(self.behind_blocks) else 0), layers + 2

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            CheckpointError: it does not fit.
        """
        cfg = self.init_cfg
        kind = cfg.get('type') if isinstance(cfg, Mapping) else None
        if kind is not PretrainedInit and str(kind).split('.')[-1] != 'Pretrained':
            super().init_weights()
            return
        path = cfg['checkpoint']
        loaded = _load_checkpoint(path, map_location='cpu')
        given = loaded.get('state_dict') if isinstance(loaded, Mapping) else None
        if not isinstance(given, Mapping):
            raise CheckpointError(f'{path} holds no state dict (names and tensors)')
        self.load_report = {}
        weights = fit_weights(
            given, {f'{self.part}.{key}': value for key, value in self.state_dict().items()},
            Description(**cast(Any, {self.part: self.built_with})), report=self.load_report,
            metadata=metadata_of(given),
            interpolate_positions=bool(cfg.get('interpolate_positions')))
        self.load_state_dict(
            {key.removeprefix(f'{self.part}.'): value for key, value in weights.items()})
        self._is_init = True

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str,
                              *args: Any) -> None:
        """Refuse weights that are not all of this part's, and in its sizes.

        In a model of others, mmengine would warn of them in the log and leave this part as it is.
        Adapters that this part does not have are merged.
        """
        own = {prefix + key: value for key, value in self.state_dict().items()}
        given = {key: value for key, value in state_dict.items() if key.startswith(prefix)}
        if adapters_of(own) or adapters_of(given):
            for key in given:
                del state_dict[key]
            state_dict.update(fit_lora(given, own))
        differ = [f'{prefix}{key}: {tuple(state_dict[prefix + key].shape)} in the checkpoint, '
                  f'{tuple(value.shape)} by the config' for key, value in self.state_dict().items()
                  if prefix + key in state_dict and state_dict[prefix + key].shape != value.shape]
        if differ:
            raise CheckpointError(
                '\n  '.join(['the checkpoint does not fit: sizes differ', *differ]))
        names = {f'{self.part}.{key}': prefix + key for key in self.state_dict()
                 if prefix + key not in adapters_of(own)}
        missing = [name for name, key in names.items() if key not in state_dict]
        # Also where it has other things of that name: of another backbone, for example.
        if len(missing) == len(names):
            raise CheckpointError(
                f'the checkpoint has nothing of {prefix}* by the names of {type(self).__name__}, '
                'so that its layout is another one, or it is of another model: give it as '
                f"{prefix}init_cfg=dict(type='Pretrained', checkpoint=...),"
                " or keep load_from and add dict(type='tvtsv2_mm.RecognizerWeightsHook') to "
                'custom_hooks; both know every layout')
        new = whole_groups(missing, names, TIME)  # as in every checkpoint of a FramewiseViT
        problems = {
            'missing in it': [names[name] for name in missing if name not in new],
            # Blocks that the config has no place for, or time attention. Without a prefix they may
            # be of anything.
            'not used by the model': [key for key in state_dict if prefix and key not in own
                                      and key.startswith(prefix)]}
        if any(problems.values()):
            raise CheckpointError('the checkpoint does not fit.' + ''.join(
                '\n  '.join([f'\n{title}:', *keys]) for title, keys in problems.items() if keys))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _record_part(part: PretrainedPart, state_dict: dict, prefix: str,
                 local_metadata: dict) -> None:
    """State dict hook: what no tensor tells of the part goes with its weights."""
    told: Any = {part.part: part.built_with}
    local_metadata[RECORD] = Description(**told).record()
