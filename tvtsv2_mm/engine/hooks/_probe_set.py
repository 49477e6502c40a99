"""A small set that hooks test a model on while a run is at something else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner


def annotation_file(dataloader: Mapping[str, Any]) -> Path:
    """Where the annotations of a data loader's config lie."""
    dataset = dataloader['dataset']
    return Path(dataset.get('data_root') or '', dataset['ann_file'])


@torch.no_grad()
def test_on(runner: Runner, model: Any, dataloader: dict, evaluator: dict | list
            ) -> dict[str, float]:
    """Test a model; for all ranks to call, which share the set.

    Args:
        runner: of the run.
        model: in evaluation, with the head that the set needs.
        dataloader: of the set, as a config's ``test_dataloader``.
        evaluator: as a config's ``test_evaluator``.

    Returns:
        The evaluator's figures, the same on all ranks.
    """
    loader = runner.build_dataloader(dataloader)
    judge: Any = runner.build_evaluator(evaluator)
    for batch in loader:
        judge.process(data_samples=model.test_step(batch), data_batch=batch)
    return {name: float(value) for name, value in judge.evaluate(len(loader.dataset)).items()}
