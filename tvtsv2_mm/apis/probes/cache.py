"""Features of a recognition benchmark, extracted once for all probes, in one file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch import Tensor

from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.evaluation.results import (
    describe_checkpoint,
    describe_config,
    describe_split,
    describe_views,
    package_versions,
)
from tvtsv2_mm.registry import MODELS

SPLITS = ('train', 'val', 'test')


@dataclass(kw_only=True)
class FeatureCache:
    """Features of the splits of a benchmark.

    Attributes:
        embeds: of each split, float16 (n, E), video embeddings, not l2-normalised.
        frames: of each split, float16 (n, T, E), the mean token of each frame.
        labels: of each split, int64 (n,).
        fields: what a result file says of the protocol, without metrics; ``splits`` has the
            description of each split.
    """

    embeds: dict[str, np.ndarray] = field(default_factory=dict)
    frames: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


def frame_tokens(tokens: Tensor, num_frames: int) -> Tensor:
    """Mean token of each frame.

    Args:
        tokens: (B, N, E) of a backbone, frame by frame; one class token of the whole clip may
            come first and is left out.
        num_frames: T.

    Returns:
        (B, T, E).

    Raises:
        ValueError: N tokens are not those of T frames.
    """
    extra = tokens.shape[1] % num_frames if num_frames > 1 else 0
    if extra > 1:
        raise ValueError(f'{tokens.shape[1]} tokens are not those of {num_frames} frames: the '
                         'probes need a test pipeline without a mask')
    return tokens[:, extra:].unflatten(1, (num_frames, -1)).mean(dim=2)


@torch.no_grad()
def extract_features(cfg: Config, checkpoint: str, val_split: str | None = None) -> FeatureCache:
    """Run the frozen video encoder of a linear-probe config over its data, each video once.

    All splits go through the test pipeline (no augmentation), so that one extraction is enough.

    Args:
        cfg: one of configs/tvtsv2/*_linear-probe_*.py, or one like them.
        checkpoint: weights in any layout that is known.
        val_split: annotation file of a validation split, in the config's ``annotations`` manner;
            without one a part of the training split will be taken when a probe is fitted.

    Raises:
        ValueError: the config has no training and test data, or asks for several views.
    """
    datasets = _datasets(cfg, val_split)
    init_default_scope(cfg.get('default_scope', 'tvtsv2_mm'))
    cfg.model.cls_head = None  # what is fitted later
    cfg.model.neck = cfg.model.sorting_head = None
    model = MODELS.build(cfg.model)
    model.load_state_dict(read_state_dict(checkpoint))
    model.to(get_device()).eval()
    cache = FeatureCache(fields=_fields(cfg, checkpoint, model))
    for name, dataset in datasets.items():
        loader = Runner.build_dataloader(dict(cfg.test_dataloader, dataset=dataset))
        parts = []
        bar = ProgressBar(len(loader.dataset))
        for batch in loader:
            data = model.data_preprocessor(batch)
            embeds, tokens = model.encode_video(data['inputs'])
            frames = frame_tokens(tokens, data['inputs']['video'].shape[1])
            labels = torch.cat([sample.gt_label for sample in data['data_samples']])
            parts.append((embeds.half().cpu().numpy(), frames.half().cpu().numpy(),
                          labels.cpu().numpy()))
            bar.update(len(labels))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        cache.embeds[name], cache.frames[name], cache.labels[name] = columns
        cache.fields['splits'][name] = describe_split(
            loader.dataset.ann_file, len(loader.dataset), len(columns[2]))
    return cache


def _datasets(cfg: Config, val_split: str | None) -> dict[str, dict]:
    for loader in ('train_dataloader', 'test_dataloader'):
        if cfg.get(loader) is None:
            raise ValueError(f'the config has no {loader}: take one of *_linear-probe_*.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    views = describe_views(pipeline)
    if views['clips'] * views['crops'] != 1:
        raise ValueError('features are extracted of one view: leave num_clips at 1 and one crop')
    train = dict(cfg.train_dataloader.dataset, pipeline=pipeline, test_mode=True)
    found = dict(train=train)
    if val_split is not None:
        found['val'] = dict(train, ann_file=val_split)
    return found | dict(test=dict(cfg.test_dataloader.dataset))


def _fields(cfg: Config, checkpoint: str, model: torch.nn.Module) -> dict[str, Any]:
    return dict(
        protocol='linear-probe', benchmark=cfg.get('benchmark'),
        views=describe_views(cfg.test_dataloader.dataset.pipeline), prompts=None,
        precision='float32, features kept in float16', splits={},
        config=describe_config(cfg),
        checkpoint=describe_checkpoint(checkpoint, model.load_report),
        versions=package_versions(), device=str(get_device()))


def write_cache(path: str | Path, cache: FeatureCache) -> None:
    """Write an ``.npz`` file, under its name only when it is complete.

    Raises:
        ValueError: another ending.
    """
    path = Path(path)
    if path.suffix != '.npz':
        raise ValueError(f'the feature cache is an .npz file, not {path}')
    arrays = {f'{kind}/{split}': array for kind in ('embeds', 'frames', 'labels')
              for split, array in getattr(cache, kind).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part')
    with part.open('wb') as file:
        np.savez(file, fields=np.array(json.dumps(cache.fields)), **arrays)
    part.replace(path)


def read_cache(path: str | Path) -> FeatureCache:
    """Read what :func:`write_cache` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another kind of file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no feature cache {path}')
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found: Mapping[str, np.ndarray] = dict(arrays)
        cache = FeatureCache(fields=json.loads(found['fields'].item()))
        for key, array in found.items():
            kind, _, split = key.partition('/')
            if split:
                getattr(cache, kind)[split] = array
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f'{path} is no feature cache of tools/probe_features.py: '
                         f'{error}') from None
    return cache
