"""What a backbone and a neck share: weights of their own from any checkpoint."""

import re
from collections.abc import Mapping
from typing import Any, cast

from mmengine.model import BaseModule, PretrainedInit, initialize
from mmengine.runner.checkpoint import _load_checkpoint
from torch import Tensor

from tvtsv2_mm.checkpoints import CheckpointError, Description
from tvtsv2_mm.checkpoints.convert import fit_weights
from tvtsv2_mm.checkpoints.description import RECORD, metadata_of
from tvtsv2_mm.checkpoints.fitting import check_fit, whole_groups
from tvtsv2_mm.checkpoints.layouts import OWN, TIME
from tvtsv2_mm.checkpoints.lora import adapters_of, fit_lora, without_adapters
from tvtsv2_mm.utils.config_errors import check_options


class PretrainedPart(BaseModule):
    """A part of a VideoTextModel, which others may build into models of their own.

    ``init_cfg=dict(type='Pretrained', checkpoint=...)``, alone or in a list, takes its weights out
    of every layout that :mod:`tvtsv2_mm.checkpoints` knows, and is an error where they do not fit:
    mmengine would take what has the part's own names, or nothing, and go on.
    ``interpolate_positions=True`` beside them resizes its position tables, as that of
    VideoTextModel does.

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

    def __init__(self, init_cfg: dict | list[dict] | None = None) -> None:
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
            ValueError: ``init_cfg`` is none.
        """
        place = f'{self.part}.init_cfg'
        pretrained, others = split_init_cfg(self.init_cfg, place)
        if not pretrained:
            super().init_weights()
            return
        if len(pretrained) > 1:
            raise ValueError(f'{place}: each of its {len(pretrained)} entries of type Pretrained '
                             'would give all weights: leave one')
        initialize(self, others)  # before the checkpoint, in whatever order they stand, as mmengine
        options = {key: value for key, value in pretrained[0].items() if key != 'type'}
        check_options(options, self._take_checkpoint, place)
        self._take_checkpoint(**options)
        self._is_init = True

    def _take_checkpoint(self, *, checkpoint: str, interpolate_positions: bool = False) -> None:
        if not isinstance(checkpoint, str):
            raise ValueError(f'{self.part}.init_cfg.checkpoint: a file is needed, not '
                             f'{checkpoint!r} ({self.part}.init_cfg=None does without)')
        loaded = _load_checkpoint(checkpoint, map_location='cpu')
        given = loaded.get('state_dict') if isinstance(loaded, Mapping) else None
        if not isinstance(given, Mapping):
            raise CheckpointError(f'{checkpoint} holds no state dict (names and tensors)')
        self.load_report = {}
        weights = fit_weights(
            given, {f'{self.part}.{key}': value for key, value in self.state_dict().items()},
            Description(**cast(Any, {self.part: self.built_with})), report=self.load_report,
            metadata=metadata_of(given), interpolate_positions=interpolate_positions)
        self.load_state_dict(
            {key.removeprefix(f'{self.part}.'): value for key, value in weights.items()})
        self.take_tokenizer(self.load_report.get('tokenizer'))

    def take_tokenizer(self, told: str | None) -> None:
        """Know the vocabulary of the texts from weights that tell it, where the config did not."""

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str,
                              *args: Any) -> None:
        """Refuse weights that are not all of this part's, and in its sizes.

        In a model of others, mmengine would warn of them in the log and leave this part as it is.
        Adapters that this part does not have are merged.
        """
        own = {prefix + key: value for key, value in self.state_dict().items()}
        given = {key: value for key, value in state_dict.items() if key.startswith(prefix)}
        # Also where it has other things of that name: of another backbone, for example.
        if not without_adapters(own).keys() & without_adapters(given).keys():
            raise CheckpointError(
                f'the checkpoint has nothing of {prefix}* by the names of {type(self).__name__}, '
                'so that its layout is another one, or it is of another model: give it as '
                f"{prefix}init_cfg=dict(type='Pretrained', checkpoint=...),"
                " or keep load_from and add dict(type='tvtsv2_mm.RecognizerWeightsHook') to "
                'custom_hooks; both know every layout')
        if adapters_of(own) or adapters_of(given):
            for key in given:
                del state_dict[key]
            given = fit_lora(given, own)
            state_dict.update(given)
        names = {f'{self.part}.{key}': prefix + key for key in self.state_dict()}
        new = whole_groups([name for name, key in names.items() if key not in given], names, TIME)
        # Without a prefix, what is not used may be of anything.
        check_fit(given, own, OWN, new=[names[name] for name in new], parts=[prefix],
                  unused=[key for key in given if prefix and key not in own])
        super()._load_from_state_dict(state_dict, prefix, *args)


def split_init_cfg(init_cfg: Any, place: str) -> tuple[list[Mapping], list[Mapping]]:
    """The entries of an ``init_cfg``, which is one or a list: those of a checkpoint, and others.

    Raises:
        ValueError: it is something else; the message begins with ``place``.
    """
    entries = [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg or []
    if not isinstance(entries, list | tuple) or not all(
            isinstance(entry, Mapping) and 'type' in entry for entry in entries):
        raise ValueError(f'{place}: a dict with a type, or a list of such, is needed here, not '
                         f'{init_cfg!r}')
    of_checkpoint = [entry['type'] is PretrainedInit
                     or str(entry['type']).split('.')[-1] == 'Pretrained' for entry in entries]
    return ([entry for entry, holds in zip(entries, of_checkpoint, strict=True) if holds],
            [entry for entry, holds in zip(entries, of_checkpoint, strict=True) if not holds])


def _record_part(part: PretrainedPart, state_dict: dict, prefix: str,
                 local_metadata: dict) -> None:
    """State dict hook: what no tensor tells of the part goes with its weights."""
    told: Any = {part.part: part.built_with}
    local_metadata[RECORD] = Description(**told).record()
