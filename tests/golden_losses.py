"""The first losses of the tiny recipe, kept in data/losses/tiny_pretrain.json.

They are raw, of each iteration, in fp32 on a CPU with one thread, by the whole recipe (its config,
its Runner, videos written and decoded) on a small part of the embedded data, over one epoch's end.
A change that means to change them renews the file:

    python -m tests.golden_losses
"""

import hashlib
import json
import platform
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from mmengine.hooks import Hook

from tvtsv2_mm.experiments.protocols import build_runner, load_config
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes

ROOT = Path(__file__).parents[1]
RECIPE = 'configs/tvtsv2/tiny_pretrain.py'
KEPT = ROOT / 'tests' / 'data' / 'losses' / 'tiny_pretrain.json'
ITERATIONS = 20
DATA = NarratedShapesOptions(transcript_videos=(24, 1), clip_rounds=(1, 0), order_clips=(0, 0))


def environment() -> dict[str, str]:
    """What the numbers depend on; not the instruction set of a CPU (see data/README.md)."""
    packages = ('av', 'mmengine', 'numpy', 'torch', 'transformers')
    return {'machine': platform.machine(),
            **{package: import_module(package).__version__.split('+')[0] for package in packages}}


class _EnoughError(Exception):
    """Ends the training."""


class _Recorder(Hook):
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.inputs = hashlib.sha256()
        self.losses: list[dict[str, float]] = []

    def before_train(self, runner: Any) -> None:
        self.drawn = {name: sum(value.double().abs().sum().item() for value in part.parameters())
                      for name, part in runner.model.named_children()}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        for _, tensors in sorted(data_batch['inputs'].items()):
            for tensor in tensors:
                self.inputs.update(tensor.numpy().tobytes())

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        self.losses.append({name: value.item() for name, value in outputs.items()
                            if name.startswith('loss')})
        if len(self.losses) == ITERATIONS:
            raise _EnoughError


def first_losses(folder: Path, **changes: Any) -> dict[str, Any]:
    """Train for a moment in an empty folder.

    Args:
        folder: For the data and the log.
        changes: Of the config, as ``--cfg-options`` has them.

    Returns:
        ``drawn``, the sum of the first weights' sizes in each part of the model; ``inputs``,
        sha256 of all that the model was given; and ``losses``, one dict an iteration.
    """
    build_narrated_shapes(folder / 'data', DATA)
    cfg = load_config(ROOT / RECIPE, data_root=folder / 'data', seed=0)
    cfg.merge_from_dict(changes)
    recorder, threads = _Recorder(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with mock.patch('mmengine.runner.runner.get_device', return_value='cpu'):
            runner = build_runner(cfg, folder / 'run', quiet=True)
            runner.register_hook(recorder)
            runner.train()
    except _EnoughError:
        pass
    finally:
        torch.set_num_threads(threads)
    return {'drawn': recorder.drawn, 'inputs': recorder.inputs.hexdigest(),
            'losses': recorder.losses}


def renew() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        found = first_losses(Path(folder))
    lines = ',\n'.join(f'  {json.dumps(losses)}' for losses in found['losses'])
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(
        f'{{"recipe": "{RECIPE}",\n "environment": {json.dumps(environment())},\n'
        f' "drawn": {json.dumps(found["drawn"])},\n "inputs": "{found["inputs"]}",\n'
        f' "losses": [\n{lines}\n]}}\n', encoding='utf-8')
    print(f'{KEPT}: {len(found["losses"])} iterations')


if __name__ == '__main__':
    renew()
