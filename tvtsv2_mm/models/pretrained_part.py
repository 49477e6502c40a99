"""What a backbone and a neck share: weights of their own from any checkpoint."""

from collections.abc import Mapping
from typing import Any, cast

from mmengine.model import BaseModule, PretrainedInit
from mmengine.runner.checkpoint import _load_checkpoint
from torch import Tensor

from tvtsv2_mm.checkpoints import CheckpointError, Description
from tvtsv2_mm.checkpoints.convert import fit_weights
from tvtsv2_mm.checkpoints.description import RECORD, metadata_of


class PretrainedPart(BaseModule):
    """A part of a VideoTextModel, which others may build into models of their own.

    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` takes its weights out of every layout that
    :mod:`tvtsv2_mm.checkpoints` knows, and is an error where they do not fit: mmengine would take
    what has the part's own names, or nothing, and go on. ``interpolate_positions=True`` beside them
    resizes its position tables, as that of VideoTextModel does.

    In a model of others (a recognizer of MMAction2) the weights of the whole, ``load_from``, are
    those of such a model; what has none for this part, or has other sizes, is an error as well.

    Attributes:
        part: its name in the model's config.
        built_with: its arguments that decide the numbers.
        load_report: what :meth:`init_weights` took, and what not; see ``fit_weights``.
    """

    part: str
    built_with: dict
    load_report: dict | None = None

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self._register_state_dict_hook(_record_part)

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

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """mmengine only warns of keys and sizes that do not match."""
        own = {prefix + key: value for key, value in self.state_dict().items()}
        common = own.keys() & state_dict.keys()
        if prefix and not common:
            raise CheckpointError(
                f'the checkpoint has no weights {prefix}*. Those of TVTSv2 and CLIP are loaded '
                f"part by part: not by load_from, but by {prefix}init_cfg=dict(type='Pretrained', "
                'checkpoint=...)')
        different = [f'{key}: {tuple(state_dict[key].shape)} in the checkpoint, '
                     f'{tuple(own[key].shape)} by the config' for key in own if key in common
                     and state_dict[key].shape != own[key].shape]
        if prefix and different:
            raise CheckpointError('the checkpoint does not fit the model config; sizes differ:\n  '
                                  + '\n  '.join(different))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _record_part(part: PretrainedPart, state_dict: dict, prefix: str,
                 local_metadata: dict) -> None:
    """State dict hook: what no tensor tells of the part goes with its weights."""
    told: Any = {part.part: part.built_with}
    local_metadata[RECORD] = Description(**told).record()
