"""What a backbone and a neck share: weights of their own from any checkpoint."""

from collections.abc import Mapping
from typing import Any, cast

from mmengine.model import BaseModule, PretrainedInit
from mmengine.runner.checkpoint import _load_checkpoint
from torch import Tensor

from tvtsv2_mm.checkpoints import CheckpointError, Description
from tvtsv2_mm.checkpoints.convert import fit_weights
from tvtsv2_mm.checkpoints.description import metadata_of
from tvtsv2_mm.checkpoints.lora import adapters_of, fit_lora


class PretrainedPart(BaseModule):
    """A part of a VideoTextModel, which others may build into models of their own.

    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` takes its weights out of every layout that
    :mod:`tvtsv2_mm.checkpoints` knows, and is an error where they do not fit: mmengine would take
    what has the part's own names, or nothing, and go on.

    Attributes:
        part: its name in the model's config.
        built_with: its arguments that decide the numbers.
        load_report: what :meth:`init_weights` took, and what not; see ``fit_weights``.
    """

    part: str
    built_with: dict
    load_report: dict | None = None

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
            metadata=metadata_of(given))
        self.load_state_dict(
            {key.removeprefix(f'{self.part}.'): value for key, value in weights.items()})
        self._is_init = True

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str,
                              *args: Any) -> None:
        """Merge adapters that this part does not have, wherever weights are loaded.

        A recognizer of MMAction2 loads by names alone, and would go on without the weights.
        """
        own = {prefix + key: value for key, value in self.state_dict().items()}
        given = {key: value for key, value in state_dict.items() if key.startswith(prefix)}
        if adapters_of(own) or adapters_of(given):
            for key in given:
                del state_dict[key]
            state_dict.update(fit_lora(given, own))
        super()._load_from_state_dict(state_dict, prefix, *args)
