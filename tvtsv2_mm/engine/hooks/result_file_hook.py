"""Writes a result file after a test: the figures, and all that they depend on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.evaluation import results
from tvtsv2_mm.registry import HOOKS


@HOOKS.register_module()
class ResultFileHook(Hook):
    """Write ``result.json`` into the folder of the run's logs, or to ``out_file``.

    The config's ``protocol`` and ``benchmark`` name what was measured (see
    configs/tvtsv2/PROTOCOLS.md).
    """

    priority = 'LOWEST'

    def __init__(self, *, out_file: str | None = None) -> None:
        self.out_file = out_file
        self._num_evaluated = 0
        self._spacings: dict[tuple, str] = {}

    def before_test_epoch(self, runner: Runner) -> None:
        """Count anew."""
        self._num_evaluated = 0
        self._spacings = {}

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                        outputs: Sequence | None = None) -> None:
        """Count the videos, and by which rule their frames were chosen."""
        self._num_evaluated += len(outputs or ())
        # By clip, for the samplers of several ranks give some videos twice.
        self._spacings |= {
            (sample.get('sample_id'), sample.frame_inds.tobytes()): sample.frame_spacing
            for sample in outputs or () if 'frame_spacing' in sample}

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Write the file, on rank 0."""
        num_evaluated = sum(all_gather_object(self._num_evaluated))
        spacings = {clip: spacing for own in all_gather_object(self._spacings)
                    for clip, spacing in own.items()}
        if not is_main_process():
            return
        path = Path(self.out_file or Path(runner.log_dir, 'result.json'))
        results.write_result(path, self._describe(
            runner, metrics or {}, num_evaluated, Counter(spacings.values())))
        runner.logger.info(f'result file: {path}')

    @staticmethod
    def _describe(runner: Runner, metrics: Mapping[str, float], num_evaluated: int,
                  spacings: Counter) -> dict:
        cfg = runner.cfg
        model = bare_model(runner)
        dataset = runner.test_dataloader.dataset
        pipeline = cfg.test_dataloader.dataset.get('pipeline', [])
        # The sampler gives every rank as many videos: some come twice on several.
        num_evaluated = min(num_evaluated, len(dataset))
        head = getattr(model, 'cls_head', None)
        classes = getattr(head, 'classes', None)
        device = next(model.parameters()).device
        return dict(
            protocol=cfg.get('protocol'),
            benchmark=cfg.get('benchmark'),
            protocol_of=cfg.get('protocol_of'),
            metrics=results.group_metrics({name: float(own) for name, own in metrics.items()}),
            **results.describe_shares({
                name: share for metric in runner.test_evaluator.metrics
                for name, share in getattr(metric, 'shares', {}).items()}),
            split=results.describe_split(dataset.ann_file, len(dataset), num_evaluated),
            query_bank=results.describe_query_bank(runner.test_evaluator.metrics),
            views=dict(results.describe_views(pipeline),
                       spacing_used=dict(sorted(spacings.items()))),
            normalisation=results.describe_normalisation(model),
            texts=runner.message_hub.get_info('texts'),
            prompts=getattr(head, 'prompts', None),
            classes=classes and dict(
                number=len(classes), sha256=results.text_sha256('\n'.join(classes))),
            precision=_precision(model, runner.test_loop),
            evaluator=cfg.test_evaluator.to_dict() if hasattr(cfg.test_evaluator, 'to_dict') else
            [dict(metric) for metric in cfg.test_evaluator],
            backbone=results.backbone_name(model),
            config=results.describe_config(cfg),
            checkpoint=results.describe_checkpoint(cfg.get('load_from'),
                                           getattr(model, 'load_report', None)),
            trained_further=getattr(model, 'has_learnt', False),
            zero_shot_check=runner.message_hub.get_info('zero_shot_check'),
            versions=results.package_versions(),
            device=torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type,
            num_devices=get_world_size(),
            time=datetime.now(timezone.utc).isoformat(timespec='seconds'))


def _precision(model: torch.nn.Module, loop: Any) -> str:
    """Type of the weights, and whether the loop computes in another."""
    kinds = sorted({str(value.dtype).removeprefix('torch.') for value in model.parameters()})
    return '+'.join(kinds) + (', autocast' if getattr(loop, 'fp16', False) else '')
