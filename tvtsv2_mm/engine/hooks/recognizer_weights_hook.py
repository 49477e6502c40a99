"""Weights in and out of MMAction2's recognizers, as VideoTextModel does it itself."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from tvtsv2_mm.checkpoints import CheckpointError, Description
from tvtsv2_mm.checkpoints.convert import fit_weights
from tvtsv2_mm.checkpoints.description import RECORD, describe, metadata_of
from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.models.pretrained_part import PretrainedPart
from tvtsv2_mm.registry import HOOKS

HEAD = 'cls_head.'


@HOOKS.register_module()
class RecognizerWeightsHook(Hook):
    """Let a recognizer with a backbone of ours begin with any checkpoint (``load_from``).

    mmengine takes what has the model's own names, and warns of the rest. Here the weights come out
    of every layout that :mod:`tvtsv2_mm.checkpoints` knows, all of them or none: text tower and
    sorting head are not needed, a head of other classes stays behind, and anything else that does
    not fit is an error. What was taken is logged, and stays as ``load_report`` of the model. A run
    that resumes has its own weights, and takes them as they are.

    What no tensor tells (heads, activation, pixels) goes with the weights that a run saves, and is
    compared with the config where they are loaded again.

    Raises:
        ValueError: the model's backbone is none of this package.
        CheckpointError: the weights do not fit; or, at the start of a test, have no trained head.
    """

    # EMAHook copies the weights that it is given.
    priority = 'HIGH'

    def before_run(self, runner: Runner) -> None:
        """Look whether there is something to do here."""
        backbone = getattr(bare_model(runner), 'backbone', None)
        if not isinstance(backbone, PretrainedPart):
            raise ValueError('RecognizerWeightsHook is for backbones of this package, not for a '
                             f'{type(backbone).__name__}: leave it out of custom_hooks')

    def before_train(self, runner: Runner) -> None:
        """From here on the weights are others than those that were loaded."""
        bare_model(runner).has_learnt = True

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Bring the weights into the names of the model, before they are loaded."""
        if runner._resume:
            return
        model = bare_model(runner)
        given = checkpoint.get('state_dict', checkpoint)
        metadata, own = metadata_of(given), model.state_dict()
        left = _other_head(given, own)
        kept = {key: value for key, value in given.items() if key not in left}
        model.has_learnt, model.load_report = False, {}
        checkpoint['state_dict'] = fit_weights(
            kept, own, describe_recognizer(model), metadata=metadata, report=model.load_report)
        model.load_report['dropped'] += left
        if left:
            print_log(f'the {HEAD[:-1]} of the checkpoint is for other classes, or of another '
                      f'kind, and is not taken: {"; ".join(left.values())}', logger='current',
                      level=logging.WARNING)

    def before_test(self, runner: Runner) -> None:
        """Refuse a test that would be one of random scores."""
        model = bare_model(runner)
        new = (getattr(model, 'load_report', None) or {}).get('new', ())
        if not getattr(model, 'has_learnt', False) and any(key.startswith(HEAD) for key in new):
            raise CheckpointError(
                f'the checkpoint has no {HEAD[:-1]} that is trained for the classes of the config, '
                'so that its scores would be random: train it (tools/train.py, '
                'load_from=CHECKPOINT), and test what that writes')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put what no tensor tells beside the weights."""
        metadata = getattr(checkpoint['state_dict'], '_metadata', None)
        if metadata is not None:
            metadata.setdefault('', {})[RECORD] = describe_recognizer(bare_model(runner)).record()


def _other_head(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """Names and sizes of a head in the checkpoint that is not the model's."""
    heads = [{key: f'{key} {tuple(value.shape)}' for key, value in weights.items()
              if key.startswith(HEAD)} for weights in (given, own)]
    return {} if heads[0] == heads[1] else heads[0]


def describe_recognizer(model: nn.Module) -> Description:
    """What the model was built with; of ActionDataPreprocessor, the pixels."""
    described, pixels = describe(model), getattr(model, 'data_preprocessor', None)
    values: Any = {name: tuple(getattr(pixels, name).flatten().tolist())
                   for name in ('mean', 'std') if getattr(pixels, name, None) is not None}
    return replace(described, data_preprocessor=values) if values else described
