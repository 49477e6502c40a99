"""Training and evaluation of one model by one config, through mmengine's Runner."""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, repeat
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, save_checkpoint, set_random_seed

from tvtsv2_mm.apis.launch.fit_to_model import move_data_root
from tvtsv2_mm.evaluation.metrics import SortingAccuracy
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.locks import locked


def load_config(path: Path, *, data_root: Path, seed: int) -> Config:
    """Read a config and point it at a data folder."""
    cfg = Config.fromfile(path)
    move_data_root(cfg, str(data_root))
    cfg.randomness = dict(seed=seed)
    return cfg


def build_runner(cfg: Config, folder: Path, *, quiet: bool) -> Runner:
    """Build a Runner that works in a folder; a quiet one logs errors alone."""
    cfg.work_dir = str(folder)
    # mmengine keeps loggers and visualisers by this name for the life of the process.
    cfg.experiment_name = '-'.join(folder.parts[-3:])
    if quiet:
        cfg.log_level = 'ERROR'
    return Runner.from_cfg(cfg)


def train(cfg: Config, folder: Path) -> dict[str, Any]:
    """Train; returns the path of the last checkpoint."""
    with locked(folder):
        build_runner(cfg, folder, quiet=False).train()
    return {'checkpoint': (folder / 'last_checkpoint').read_text(encoding='utf-8').strip()}


def time_steps(configs: Mapping[str, Config], folder: Path, steps: int) -> dict[str, float]:
    """Median seconds of a training step by each config, from random weights.

    Each config's steps are timed in turn with those of the others, so that a machine that is busy
    for a while slows all of them.
    """
    runs: dict[str, tuple[Runner, Iterator]] = {}
    for name, cfg in configs.items():
        runner = build_runner(cfg, folder / name, quiet=True)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        loader = runner.build_dataloader(runner._train_dataloader)
        runs[name] = runner, chain.from_iterable(repeat(loader))
    taken: dict[str, list[float]] = {name: [] for name in configs}
    for _ in range(2 + steps):  # the first two are not counted: there is one of each kind of batch
        for name, (runner, batches) in runs.items():
            batch = next(batches)
            began = time.perf_counter()
            runner.model.train_step(batch, runner.optim_wrapper)
            taken[name].append(time.perf_counter() - began)
    return {name: round(median(values[2:]), 4) for name, values in taken.items()}


def read_scalars(folder: Path) -> list[dict]:
    """What the newest training in a work folder logged, line by line."""
    files = sorted(folder.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{folder} holds no log (*/vis_data/scalars.json)')
    lines = files[-1].read_text(encoding='utf-8').splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def save_untrained(cfg: Config, folder: Path, *, seed: int) -> dict[str, Any]:
    """Save a model of random weights; returns its path."""
    init_default_scope(cfg.default_scope)
    set_random_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    path = folder / 'untrained.pth'
    save_checkpoint({'state_dict': model.state_dict()}, str(path))
    return {'checkpoint': str(path)}


def evaluate(cfg: Config, folder: Path, checkpoint: str) -> dict[str, Any]:
    """Evaluate a checkpoint; a config that trains something on top of it (the probe) does so."""
    cfg.load_from = checkpoint
    if cfg.get('train_cfg'):
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = build_runner(cfg, folder, quiet=True)
    if cfg.get('train_cfg'):
        runner.train()
    return {'metrics': {key: round(float(value), 4) for key, value in runner.test().items()}}


@torch.no_grad()
def recognise(cfg: Config, folder: Path, checkpoint: str,
              prompts: Mapping[str, tuple[list[str], list[str]]],
              unseen: Collection[int] = ()) -> dict[str, Any]:
    """Zero-shot recognition of the same videos by several wordings (classes, templates).

    Returns:
        ``metrics``: top-1 in per cent by the name of a wording, and, where there are ``unseen``
        labels, ``NAME/unseen`` of their videos, among all classes. The videos are encoded once.
    """
    embeds, labels = [], []
    for model, inputs, (_, data_samples) in _batches(cfg, folder, checkpoint):
        embeds.append(model.encode_video(inputs, class_only=True)[0])
        labels += [int(sample.gt_label) for sample in data_samples]
    found, videos, right = {}, torch.cat(embeds), torch.tensor(labels)
    is_unseen = torch.tensor([label in unseen for label in labels])
    for name, (classes, templates) in prompts.items():
        head = MODELS.build(dict(cfg.model.cls_head, classes=classes, prompts=templates))
        guesses = head.predict(videos, model.encode_text).argmax(dim=1).cpu()
        hits = 100 * (guesses == right).float()
        found[name] = round(hits.mean().item(), 4)
        if unseen:
            found[f'{name}/unseen'] = round(hits[is_unseen].mean().item(), 4)
    return {'metrics': found}


@torch.no_grad()
def match_frames(cfg: Config, folder: Path, checkpoint: str) -> dict[str, Any]:
    """Sort transcripts without a sorting head, by what a frame-wise model sees in each frame.

    Each transcript goes to the part of the clip whose frames are nearest to it. This is what the
    tiny CLIP can do about order: it knows when its frames were taken, but not what moves in them.
    """
    metric = SortingAccuracy()
    samples = 0
    for model, inputs, _ in _batches(cfg, folder, checkpoint):
        video, tokens = inputs['video'], inputs['tokens']
        batch, parts = tokens.shape[:2]
        frames, _ = model.backbone(video.flatten(0, 1).unsqueeze(1))
        frames = F.normalize(frames, dim=-1).view(batch, parts, -1, frames.shape[-1]).mean(dim=2)
        texts = F.normalize(model.encode_text(tokens), dim=-1)
        logits = texts @ F.normalize(frames, dim=-1).transpose(1, 2)
        metric.process({}, [{'order_logits': own} for own in logits])
        samples += batch
    return {'metrics': metric.evaluate(samples)}


@torch.no_grad()
def predict(cfg: Config, folder: Path, checkpoint: str) -> Iterator[tuple[Any, Any]]:
    """Yield uint8 clips (T, 3, H, W) and data samples with predictions, in the data's order."""
    for model, inputs, (batch, data_samples) in _batches(cfg, folder, checkpoint):
        yield from zip(batch['inputs']['video'], model.predict(inputs, data_samples), strict=True)


def _batches(cfg: Config, folder: Path,
             checkpoint: str) -> Iterator[tuple[Any, Any, tuple[Any, Any]]]:
    cfg.load_from = checkpoint
    runner = build_runner(cfg, folder, quiet=True)
    runner.load_or_resume()
    runner.model.eval()
    for batch in runner.test_dataloader:
        data = runner.model.data_preprocessor(batch, False)
        yield runner.model, data['inputs'], (batch, data['data_samples'])
