"""Tells what fine-tuning costs: zero-shot figures on what is not trained on, before and after."""

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint, _load_checkpoint_to_model
from torch import Tensor
from torch.distributed.tensor import DTensor

from tvtsv2_mm.checkpoints.errors import CheckpointError
from tvtsv2_mm.checkpoints.lora import merge_lora, without_lora
from tvtsv2_mm.checkpoints.published import locate
from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.engine.hooks._probe_set import annotation_file, test_on
from tvtsv2_mm.evaluation import results
from tvtsv2_mm.registry import HOOKS, MODELS
from tvtsv2_mm.utils.randomness import generators_kept

_KEY = 'zero_shot_check'
_CLASSES = f'{_KEY}/classes'


@HOOKS.register_module()
class ZeroShotCheckHook(Hook):
    """Test zero-shot before and after a training, on a set that it does not train on.

    One line of the log says ``before -> after``, and so does ``zero_shot_check`` of the result file
    (``result.json`` in the folder of the run's logs). "After" are the best weights where the run
    has them in its work folder (``save_best``), else the last ones; the line names the file.
    Adapters (LoRA) are merged. A resumed run goes on with what its first part measured.

    The model that is tested is a VideoTextModel of its own, for the time of the test. What the
    trained model lacks, a recognizer of MMAction2 its text encoder, stays what it was: of that the
    embeddings of the classes go with the run's checkpoints, so that one that resumes does not need
    ``checkpoint`` again.

    Args:
        dataloader: of the set, as a config's ``test_dataloader``. Where its annotation file is not
            there, the check is left out with a warning.
        evaluator: as a config's ``test_evaluator``.
        benchmark: what the set is called.
        cls_head: of the tested model: a ZeroShotHead; None for retrieval.
        model: config of the tested model; None for that of the run, if it is a VideoTextModel.
        checkpoint: where the tested model has the weights from that the trained one lacks. None
            where a recognizer starts from no checkpoint: the check is left out with a warning.
    """

    # Behind those that write the checkpoints.
    priority = 'LOWEST'

    def __init__(self, *, dataloader: dict, evaluator: dict | list, benchmark: str = '',
                 cls_head: dict | None = None, model: dict | None = None,
                 checkpoint: str | None = None) -> None:
        self.dataloader = dataloader
        self.evaluator = evaluator
        self.benchmark = benchmark
        self.cls_head = cls_head
        self.model = model
        self.checkpoint = checkpoint

    def before_train(self, runner: Runner) -> None:
        """Measure.

        Raises:
            ValueError: the tested model cannot be built from the trained one.
            FileNotFoundError: the checkpoint is not there, and is needed.
            CheckpointError: its weights cannot.
        """
        if not self._is_there(runner):
            return
        if (self.checkpoint is not None and _classes(runner) is None
                and not Path(locate(self.checkpoint)).exists()):
            raise FileNotFoundError(
                f'default_hooks.zero_shot_check.checkpoint: there is no {self.checkpoint}')
        if _before(runner) is not None:
            return
        if runner.iter:
            runner.logger.warning('the zero-shot check is left out: the run goes on from one that '
                                  'had none')
            return
        weights = _whole(bare_model(runner).state_dict())
        if (self.model is not None and self.checkpoint is None and not _of(weights, 'neck')
                and not runner.cfg.get('load_from')):
            runner.logger.warning('the zero-shot check is left out: the model has no text encoder, '
                                  'and the run starts from no checkpoint (load_from) that has one')
            return
        before = self._measure(runner, weights)
        runner.message_hub.update_info(_KEY, dict(benchmark=self.benchmark, before=before))
        runner.logger.info(f'{self._name}, before: ' + ', '.join(
            f'{name} {value:.2f}' for name, value in before.items()))

    def after_train(self, runner: Runner) -> None:
        """Measure again, and tell both."""
        before = _before(runner)
        if before is None or not self._is_there(runner):
            return
        paths = [_kept(runner)]
        broadcast_object_list(paths)  # which the others wait for: rank 0 has written it
        [path] = paths
        weights = (_whole(bare_model(runner).state_dict()) if path is None else
                   _load_checkpoint(path, map_location='cpu')['state_dict'])
        after = self._measure(runner, weights)
        told = dict(benchmark=self.benchmark, before=before, after=after, weights=path)
        runner.message_hub.update_info(_KEY, told)
        both = [name for name in before if name in after]
        changes = ', '.join(f'{name} {before[name]:.2f} -> {after[name]:.2f}' for name in both)
        fell = any(after[name] < before[name] for name in both)
        if fell:
            changes += ' (tools/interpolate_weights.py finds weights in between)'
        runner.logger.log(logging.WARNING if fell else logging.INFO,
                          f'{self._name}, before -> after ({_file(path)}): {changes}')
        if is_main_process():
            results.write_result(Path(runner.log_dir, 'result.json'), {
                'protocol': 'zero-shot check', 'benchmark': self.benchmark,
                'metrics': results.group_metrics(after), _KEY: told,
                'config': results.describe_config(runner.cfg),
                'versions': results.package_versions(),
                'time': datetime.now(timezone.utc).isoformat(timespec='seconds')})

    @property
    def _name(self) -> str:
        return f'zero-shot on {self.benchmark}' if self.benchmark else 'zero-shot'

    def _is_there(self, runner: Runner) -> bool:
        file = annotation_file(self.dataloader)
        if not file.is_file():
            runner.logger.warning(f'the zero-shot check is left out: there is no {file}')
        return file.is_file()

    @torch.no_grad()
    def _measure(self, runner: Runner, weights: Mapping[str, Tensor]) -> dict[str, float]:
        # Training draws as if nothing had been before it.
        with (generators_kept(device=True),
              DefaultScope.overwrite_default_scope('tvtsv2_mm')):
            fixed = self.cls_head is not None and not _of(weights, 'neck')
            model = self._build(runner, merge_lora(weights), _classes(runner) if fixed else None)
            metrics = test_on(runner, model, self.dataloader, self.evaluator)
            if fixed and model.neck is not None:
                runner.message_hub.update_info(_CLASSES, model.cls_head.class_embeds(
                    model.neck, next(model.parameters()).device).cpu())
        return metrics

    def _build(self, runner: Runner, weights: Mapping[str, Tensor],
               classes: Tensor | None) -> Any:
        """The model to be tested, with the trained weights."""
        cfg = self.model or runner.cfg.model
        if str(cfg.get('type')).split('.')[-1] != 'VideoTextModel':
            raise ValueError(f'ZeroShotCheckHook: a {cfg.get("type")} has no text encoder; give '
                             'the hook model=dict(type="VideoTextModel", ...) and a checkpoint')
        parts = dict(contrastive_head=None, sorting_head=None, cls_head=self.cls_head)
        if classes is not None:
            parts['neck'] = None
        model = MODELS.build(ConfigDict(without_lora(cfg), **parts))
        device = next(bare_model(runner).parameters()).device
        if classes is not None:
            shape = (model.cls_head.num_classes, model.backbone.embed_dim)
            if classes.shape != shape:
                raise CheckpointError(
                    'ZeroShotCheckHook: the run goes on from one whose check had embeddings of '
                    f'classes of the shape {tuple(classes.shape)}, and by the config it is {shape}')
            model.cls_head.class_embeds = lambda *_: classes.to(device)
        elif self.checkpoint is not None:
            _load_checkpoint_to_model(model, _load_checkpoint(self.checkpoint, map_location='cpu'))
        own = model.state_dict()
        for name, value in own.items():
            part, given = name.split('.')[0], weights.get(name)
            if part == 'data_preprocessor' or (self.checkpoint and not _of(weights, part)):
                continue
            if given is None or given.shape != value.shape:
                raise CheckpointError(
                    f'ZeroShotCheckHook: the trained model has no {name} of the shape '
                    f'{tuple(value.shape)}: give the hook the model that it is a part of, and the '
                    'checkpoint with the other parts')
            own[name] = given
        model.load_state_dict(own)
        return model.to(device).eval()


def _of(weights: Mapping[str, Tensor], part: str) -> bool:
    """Whether there are any of a part of the model."""
    return any(name.startswith(f'{part}.') for name in weights)


def _classes(runner: Runner) -> Tensor | None:
    """(C, E) embeddings of the classes by a text encoder that the trained model does not have."""
    classes = runner.message_hub.get_info(_CLASSES)
    known = isinstance(classes, Tensor) and classes.ndim == 2 and classes.is_floating_point()
    return classes if known else None


def _before(runner: Runner) -> dict[str, float] | None:
    """What was measured before, maybe by a run that this one goes on from."""
    told = runner.message_hub.get_info(_KEY)
    before = told.get('before') if isinstance(told, dict) else None
    known = isinstance(before, dict) and all(isinstance(x, float) for x in before.values())
    return before if known else None


def _kept(runner: Runner) -> str | None:
    """The file, or folder, of the weights that the run leaves: the best ones, or the last."""
    best = runner.message_hub.get_info('best_ckpt')
    if best is None and any(getattr(hook, 'save_best', None) for hook in runner.hooks):
        # Of the run that this one goes on from: a checkpoint is not believed which file it was.
        # The last one by its number, for a clock may have been set back.
        found = {int(number[-1]): path for path in Path(runner.work_dir).glob('best_*.pth')
                 if (number := re.findall(r'\d+', path.stem))}
        best = str(found[max(found)]) if found else None
    return best or runner.message_hub.get_info('last_ckpt')


def _file(path: str | None) -> str:
    return 'the weights at the end' if path is None else Path(path).name


def _whole(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that may be in shards, whole; for all ranks to call."""
    return {name: value.full_tensor() if isinstance(value, DTensor) else value
            for name, value in weights.items()}
