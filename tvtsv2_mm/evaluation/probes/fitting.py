"""Probes on cached features; what is chosen is chosen on a validation split."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.device import get_device
from torch import nn

from tvtsv2_mm.evaluation.intervals import share_of_hits
from tvtsv2_mm.evaluation.metrics.multiple_choice_accuracy import expected_hit
from tvtsv2_mm.evaluation.results import describe_shares, group_metrics
from tvtsv2_mm.utils.attentive_pooling import AttentivePooling
from tvtsv2_mm.utils.extras import needed_for

from .cache import FeatureCache, check_apart

with needed_for('fitting probes'):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

SHARE_OF_VAL = 0.2
# A setting that is chosen on fewer videos is chosen by chance.
FEW = 10


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A kind of probe.

    Attributes:
        fit: features (n, ...), labels (n,), a value of the setting and a seed to what predicts as
            scikit-learn's classifiers do: ``predict_proba`` and ``classes_``.
        setting: name of what is chosen.
        values: to choose from, the simplest first: of equals the first is taken.
        tokens: read float16 (n, 1 + N, E), the embedding and the tokens, instead of float32 (n, E).
    """

    fit: Callable[[np.ndarray, np.ndarray, Any, int], Any]
    setting: str
    values: tuple
    tokens: bool = False


def _fit_logistic(x: np.ndarray, y: np.ndarray, strength: float, seed: int) -> Any:
    if len(np.unique(y)) < 2:
        raise ValueError('a linear probe needs at least two classes in the training split')
    return make_pipeline(StandardScaler(), LogisticRegression(
        C=strength, max_iter=1000, random_state=seed)).fit(x, y)


def _fit_neighbours(x: np.ndarray, y: np.ndarray, count: int, seed: int) -> Any:
    return KNeighborsClassifier(min(count, len(x)), metric='cosine', weights='distance').fit(x, y)


def _fit_attentive(x: np.ndarray, y: np.ndarray, weight_decay: float, seed: int,
                   epochs: int = 30, min_steps: int = 500, batch_size: int = 128) -> Any:
    """Train for ``epochs``, and on few videos for as many as ``min_steps`` take."""
    classes, targets = np.unique(y, return_inverse=True)
    device = get_device()
    # Its own generator: what else draws random numbers is not disturbed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        width = x.shape[-1]
        model = nn.Sequential(AttentivePooling(width), nn.Linear(width, len(classes))).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=weight_decay)
        batches = -(-len(x) // batch_size)
        epochs = max(epochs, -(-min_steps // batches))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(batch_size):
                own = torch.from_numpy(x[batch.numpy()]).to(device).float()
                loss = F.cross_entropy(model(own),
                                       torch.from_numpy(targets[batch.numpy()]).to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    model.eval()

    @torch.no_grad()
    def predict(test: np.ndarray) -> np.ndarray:
        parts = [model(torch.from_numpy(test[i:i + batch_size]).to(device).float()).softmax(dim=-1)
                 for i in range(0, len(test), batch_size)]
        return torch.cat(parts).cpu().numpy()

    return SimpleNamespace(predict_proba=predict, classes_=classes)


PROBES = {
    'logistic': Probe(fit=_fit_logistic, setting='C',
                      values=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)),
    'knn': Probe(fit=_fit_neighbours, setting='neighbours', values=(1, 5, 10, 20, 50)),
    'attentive': Probe(fit=_fit_attentive, setting='weight_decay', values=(1.0, 0.1, 0.01),
                       tokens=True),
}


def fit_probe(cache: FeatureCache, kind: str, *, values: Sequence | None = None,
              seed: int = 0) -> dict[str, Any]:
    """Choose a probe's setting on the validation split, fit on all but the test split, and test.

    Without a validation split in the cache, a fifth of the training split serves, drawn by the
    seed, with each class' share kept where every class has two videos or more.

    Args:
        cache: features.
        kind: one of ``PROBES``.
        values: of the setting, instead of the probe's own.
        seed: of the drawn validation split and of the attentive probe.

    Returns:
        A result as a result file holds it. What makes its figures doubtful stands in its
        ``probe.warnings``, and is warned of.

    Raises:
        ValueError: no such probe; a split is missing or too small, or holds videos of another.
    """
    if kind not in PROBES:
        raise ValueError(f'probe must be one of {", ".join(PROBES)}, not {kind!r}')
    for split in ('train', 'test', *cache.labels):
        if not len(cache.labels.get(split, ())):
            raise ValueError(f'the feature cache has no {split} split')
    for split, embeds in cache.embeds.items():
        if not np.isfinite(embeds).all():
            raise ValueError(f'features of the {split} split hold NaN or infinity')
    check_apart(cache.names, cache.fields.get('splits', {}))
    probe = PROBES[kind]
    if probe.tokens and kind not in possible_probes(cache):
        raise ValueError(f'the {kind} probe reads the tokens of a video, and the backbone of this '
                         f'feature cache gives none: fit {" or ".join(possible_probes(cache))}')
    values = tuple(values or probe.values)
    labels = cache.labels
    rest, chosen_on, told = _validation(labels, seed)
    seen = [split for split in ('train', 'val') if split in labels]
    all_x = np.concatenate([_features(cache, split, probe.tokens) for split in seen])
    all_y = np.concatenate([labels[split] for split in seen])
    scores = [100 * float(_hits(probe.fit(all_x[rest], all_y[rest], value, seed),
                                all_x[chosen_on], all_y[chosen_on], 1).mean()) for value in values]
    best = values[int(np.argmax(scores))]
    model = probe.fit(all_x, all_y, best, seed)
    classes = np.unique(all_y)
    doubts = _doubts_of_features(cache)
    lacking = len(classes) - len(np.unique(all_y[chosen_on]))
    if len(values) > 1 and (len(chosen_on) < FEW or lacking):
        doubts.append(
            f'{probe.setting} was chosen on {len(chosen_on)} videos'
            + (f', with none of {lacking} of the {len(classes)} classes' if lacking else '')
            + ': give more training videos or a larger validation split')
    unseen = ~np.isin(labels['test'], classes)
    if unseen.any():
        doubts.append(f'{unseen.sum()} of {len(unseen)} test videos have a class that no training '
                      'video has: they count as wrong')
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=2)
    test = _features(cache, 'test', probe.tokens)
    splits = cache.fields.get('splits', {})
    shares = {f'acc/top{k}': share_of_hits(_hits(model, test, labels['test'], k), k / len(classes))
              for k in (1, 5) if k < len(classes)}
    return cache.fields | describe_shares(shares) | dict(
        metrics=group_metrics({name: own.value for name, own in shares.items()}),
        split=splits.get('test'), splits=splits,
        probe=dict(kind=kind, setting=probe.setting, chosen=best, validation=told, seed=seed,
                   val_top1=dict(zip(map(str, values), scores, strict=True)),
                   fitted_on=len(all_y), warnings=doubts))


def possible_probes(cache: FeatureCache) -> list[str]:
    """The probes for which a cache has what they read."""
    has_tokens = all(tokens.shape[1] for tokens in cache.tokens.values())
    return [kind for kind, probe in PROBES.items() if has_tokens or not probe.tokens]


def _features(cache: FeatureCache, split: str, tokens: bool) -> np.ndarray:
    embeds = cache.embeds[split]
    if not tokens:
        return embeds.astype(np.float32)
    return np.concatenate([embeds[:, None], cache.tokens[split]], axis=1)


def _validation(labels: dict[str, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Indices into train + val to fit and to choose on, and how they were found."""
    count = len(labels['train'])
    if 'val' in labels:
        return (np.arange(count), np.arange(count, count + len(labels['val'])),
                'the validation split')
    _, sizes = np.unique(labels['train'], return_counts=True)
    held_out = max(round(SHARE_OF_VAL * count), 1)
    keep_shares = sizes.min() > 1 and held_out >= len(sizes) <= count - held_out
    if count < 3:
        raise ValueError(f'{count} training videos are too few to choose a setting on some')
    rest, chosen_on = train_test_split(
        np.arange(count), test_size=held_out, random_state=seed,
        stratify=labels['train'] if keep_shares else None)
    return rest, chosen_on, (f'{held_out} of {count} training videos, drawn with seed {seed}'
                             + (', stratified' if keep_shares else ''))


def _doubts_of_features(cache: FeatureCache) -> list[str]:
    """Copies of training videos under other names, which must not be all of the test split."""
    seen = {row.tobytes() for split, rows in cache.embeds.items() if split != 'test'
            for row in rows}
    rows = cache.embeds['test']
    count = sum(row.tobytes() in seen for row in rows)
    if count == len(rows):
        raise ValueError(f'all {count} test videos have the features of training videos: either '
                         'they are those, or the model tells no videos apart')
    doubts = []
    if not cache.names:
        doubts.append('the feature cache is of an older version and names no videos: extract it '
                      'anew to have its splits compared by them')
    if count:
        doubts.append(f'{count} of {len(rows)} test videos have the features of a training video: '
                      'are they copies?')
    return doubts


def _hits(model: Any, x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """(n,) top k; ties give chance, and a class that was never seen cannot be right."""
    places = {label: place for place, label in enumerate(model.classes_.tolist())}
    return np.array([expected_hit(own, places[label], k) if label in places else 0.0
                     for own, label in zip(model.predict_proba(x), y.tolist(), strict=True)])
