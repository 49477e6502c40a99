"""Features of a recognition benchmark, extracted once for all probes, in one file."""

import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from os.path import normpath, realpath
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch import Tensor

from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.datasets.annotations import load_labels
from tvtsv2_mm.evaluation import results
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.config_errors import config_errors
from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.utils.files import file_sha256, write_atomically

SPLITS = ('train', 'val', 'test')
# Dimensions of the arrays, and kinds of their numbers.
_ARRAYS = dict(embeds=(2, 'f'), tokens=(3, 'f'), labels=(1, 'iu'), names=(1, 'U'))
_KINDS = tuple(_ARRAYS)


@dataclass(kw_only=True)
class FeatureCache:
    """Features of the splits of a benchmark.

    Attributes:
        embeds: of each split, float16 (n, E), video embeddings, not l2-normalised.
        tokens: of each split, float16 (n, T * G * G, E), the space-time tokens, averaged over the
            cells of a grid of G x G in each frame; ``fields['token_grid']`` is G. None of them,
            (n, 0, E), where the backbone gives none. T is the backbone's ``token_frames``, if it
            has them.
        labels: of each split, int64 (n,).
        names: of each split, str (n,), the videos as its annotation file names them.
        fields: what a result file says of the protocol, without metrics; ``splits`` has the
            description of each split.
    """

    embeds: dict[str, np.ndarray] = field(default_factory=dict)
    tokens: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    names: dict[str, np.ndarray] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


def pool_tokens(tokens: Tensor, num_frames: int, grid: int) -> Tensor:
    """Average the tokens of each frame over the cells of a grid.

    Args:
        tokens: (B, N, E) of a backbone, frame by frame; one class token of the whole clip may
            come first and is left out.
        num_frames: T.
        grid: G; 1 gives the mean token of each frame, the side of the patch grid all tokens.

    Returns:
        (B, T * G * G, E).

    Raises:
        ValueError: N tokens are not those of T square frames, or they are fewer than G x G.
    """
    side = math.isqrt(tokens.shape[1] // num_frames)
    extra = tokens.shape[1] - num_frames * side**2
    if extra not in (0, 1):
        raise ValueError(f'{tokens.shape[1]} tokens are not those of {num_frames} square frames: '
                         'the probes need a test pipeline without a mask')
    if not 1 <= grid <= side:
        raise ValueError(f'the token grid must be 1 to {side}, the patches in a row of this model, '
                         f'got {grid}')
    frames = tokens[:, extra:].unflatten(1, (num_frames, side, side))
    cells = F.adaptive_avg_pool2d(frames.flatten(0, 1).permute(0, 3, 1, 2), grid)
    return cells.permute(0, 2, 3, 1).reshape(len(tokens), -1, tokens.shape[-1])


@torch.no_grad()
@config_errors()
def extract_features(cfg: Config, checkpoint: str, val_split: str | None = None,
                     token_grid: int = 1) -> FeatureCache:
    """Run the frozen video encoder of a linear-probe config over its data, each video once.

    All splits go through the test pipeline (no augmentation), so that one extraction is enough.

    Args:
        cfg: one of configs/tvtsv2/*_linear-probe_*.py, or one like them.
        checkpoint: weights in any layout that is known.
        val_split: annotation file of a validation split, in the config's ``annotations`` manner;
            without one a part of the training split will be taken when a probe is fitted.
        token_grid: G of :func:`pool_tokens`.

    Raises:
        ValueError: the config has no training and test data, or asks for several views; a split
            holds videos of another; an embedding is not finite.
        AnnotationError: a label does not fit the config's ``cls_head.num_classes``.
    """
    datasets = _datasets(cfg, val_split)
    init_default_scope(cfg.get('default_scope', 'tvtsv2_mm'))
    loaders = {name: Runner.build_dataloader(dict(cfg.test_dataloader, dataset=dataset))
               for name, dataset in datasets.items()}
    for loader in loaders.values():
        load_labels(loader.dataset.ann_file,
                    (cfg.model.get('cls_head') or {}).get('num_classes'))
    check_apart(_listed(loaders, 'sample_id'), {
        name: dict(sha256=file_sha256(loader.dataset.ann_file))
        for name, loader in loaders.items()})
    check_apart({name: [realpath(file) for file in files]
                 for name, files in _listed(loaders, 'filename').items()}, {})
    cfg.model.cls_head = None  # what is fitted later
    cfg.model.neck = cfg.model.sorting_head = None
    model = MODELS.build(cfg.model)
    model.load_state_dict(read_state_dict(checkpoint))
    model.to(get_device()).eval()
    cache = FeatureCache(fields=dict(
        protocol='linear-probe', benchmark=cfg.get('benchmark'),
        protocol_of=cfg.get('protocol_of'),
        views=results.describe_views(cfg.test_dataloader.dataset.pipeline),
        normalisation=results.describe_normalisation(model), prompts=None,
        precision='float32, features kept in float16', splits={},
        backbone=results.backbone_name(model), config=results.describe_config(cfg),
        checkpoint=results.describe_checkpoint(checkpoint, model.load_report),
        versions=results.package_versions(), device=str(get_device()), token_grid=token_grid))
    for name, loader in loaders.items():
        parts = []
        bar = ProgressBar(len(loader.dataset))
        for batch in loader:
            data = model.data_preprocessor(batch)
            embeds, tokens = model.encode_video(data['inputs'])
            if tokens is None:
                tokens = embeds[:, None][:, :0]
            else:
                frames = getattr(model.backbone, 'token_frames', None)
                tokens = pool_tokens(
                    tokens, frames or data['inputs']['video'].shape[1], token_grid)
            samples = data['data_samples']
            names = [sample.sample_id for sample in samples]
            kept = [values.half().cpu().numpy() for values in (embeds, tokens)]
            _check_finite(names, *kept)
            labels = torch.cat([sample.gt_label for sample in samples]).cpu().numpy()
            parts.append((*kept, labels, names))
            bar.update(len(names))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        cache.embeds[name], cache.tokens[name], cache.labels[name], cache.names[name] = columns
        cache.fields['splits'][name] = results.describe_split(
            loader.dataset.ann_file, len(loader.dataset), len(columns[2]))
    return cache


def _check_finite(names: Sequence[str], *features: np.ndarray) -> None:
    for name, *own in zip(names, *features, strict=True):
        if not all(np.isfinite(values).all() for values in own):
            raise ValueError(f'the features of {name} are not finite in float16: do the weights '
                             'hold NaN?')


def _listed(loaders: Mapping[str, Any], key: str) -> dict[str, list[str]]:
    return {name: [loader.dataset.get_data_info(index)[key]
                   for index in range(len(loader.dataset))] for name, loader in loaders.items()}


def check_apart(names: Mapping[str, Iterable[str]], splits: Mapping[str, Mapping]) -> None:
    """See that no split holds videos of another, by their names and ``sha256`` of their lists.

    Raises:
        ValueError: one does; says how many, and names one.
    """
    for one, other in combinations(SPLITS, 2):
        first, second = ({*map(normpath, names.get(split, ()))} for split in (one, other))
        common = sorted(first & second)
        if common:
            raise ValueError(f'{len(common)} videos are in the {one} and in the {other} split, '
                             f'such as {common[0]}: figures would be those of videos that were '
                             'trained on. Where they are other videos of the same name, put their '
                             'folder into the names')
        digests = [splits.get(split, {}).get('sha256') for split in (one, other)]
        if digests[0] is not None and digests[0] == digests[1]:
            raise ValueError(f'the {one} and the {other} split have the same annotation file')


def _datasets(cfg: Config, val_split: str | None) -> dict[str, dict]:
    for loader in ('train_dataloader', 'test_dataloader'):
        if cfg.get(loader) is None:
            raise ValueError(f'the config has no {loader}: take one of *_linear-probe_*.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    views = results.describe_views(pipeline)
    if views['clips'] * views['crops'] != 1:
        raise ValueError('features are extracted of one view: leave num_clips at 1 and one crop')
    train = dict(cfg.train_dataloader.dataset, pipeline=pipeline, test_mode=True)
    found: dict[str, dict] = dict(train=train)
    if val_split is not None:
        found['val'] = dict(train, ann_file=val_split)
    return found | dict(test=dict(cfg.test_dataloader.dataset))


def write_cache(path: str | Path, cache: FeatureCache) -> None:
    """Write an ``.npz`` file, under its name only when it is complete.

    Raises:
        ValueError: another ending.
    """
    path = Path(path)
    if path.suffix != '.npz':
        raise ValueError(f'the feature cache is an .npz file, not {path}')
    arrays = {f'{kind}/{split}': array for kind in _KINDS
              for split, array in getattr(cache, kind).items()}

    def write(draft: Path) -> None:
        with draft.open('wb') as file:  # whose name would get another ending
            np.savez(file, fields=np.array(json.dumps(cache.fields)), **arrays)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


def read_cache(path: str | Path) -> FeatureCache:
    """Read what :func:`write_cache` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another kind of file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no feature cache {path}')
    with one_error(f'{path} is no feature cache of tools/probe_features.py'):
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type for member in archive.infolist()):
                raise ValueError('its arrays are compressed, which that tool never does')
        with np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
        cache = FeatureCache(fields=dict(json.loads(found.pop('fields').item())))
        kinds = {kind: getattr(cache, kind) for kind in _KINDS}
        for key, array in found.items():
            kind, _, split = key.partition('/')
            kinds[kind][split] = array
        _check_arrays(kinds)
    return cache


def _check_arrays(kinds: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """See that there is the same number of rows of each kind in each split."""
    rows = {split: len(array) for split, array in kinds['embeds'].items()}
    for kind, (dims, types) in _ARRAYS.items():
        own = {split: len(array) for split, array in kinds[kind].items()}
        if own != rows or any(array.ndim != dims or array.dtype.kind not in types
                              for array in kinds[kind].values()):
            raise ValueError(f'its {kind} do not fit its embeds: {own} rows, and {rows}')
