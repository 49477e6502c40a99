"""The rows that are nearest to a query, nearly always: for more of them than are soon compared.

FAISS's inverted lists: rows lie in clusters, and a query looks into those whose centres are nearest
to it. What is kept beside the features is only which row lies in which cluster, so that an
extraction that grows, changes and loses videos needs no other index: known rows stay where they
are, new ones are put into their clusters, and those that are gone are not looked for.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mmengine.logging import print_log
from safetensors.numpy import load_file, save_file

from tvtsv2_mm.apis.features.shards import FeatureSet
from tvtsv2_mm.apis.search.vectors import ExactIndex
from tvtsv2_mm.utils.extras import MissingPackageError, needed_for
from tvtsv2_mm.utils.files import write_atomically

# So many rows are compared in less time than people notice, and an index would save nothing.
EXACT_BELOW = 250_000

FILE = 'clusters.safetensors'

_CLUSTERS_PER_ROOT = 2  # their number, by the square root of that of the rows
_ROWS_PER_CLUSTER = 64  # of which the centres are means
_ITERATIONS = 8
_GROWTH = 4  # times the rows of which the centres are means, until there are others

# Clusters a query looks into: tools/benchmarks/index.py needs a quarter for a recall@10 of 0.98.
PROBES = 32
# More than this share of all rows is sooner found by comparing all.
_LARGEST_SHARE = 0.01

_ROWS_AT_ONCE = 2**14
# Of each part, which is written once; a row between two clusters may seem to have moved.
_ROWS_OF_A_PART, _FEWEST_AGREE = 4, 0.75


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """In which cluster each row lies.

    Attributes:
        centres: float32 (K, E).
        keys: int64 (N,), ascending: by which rows are known (``FeatureSet.keys``).
        clusters: int64 (N,), of each key.
        rows: of how many the centres are means.
    """

    centres: np.ndarray
    keys: np.ndarray
    clusters: np.ndarray
    rows: int


class ClusteredIndex(ExactIndex):
    """Looks into the clusters that are nearest to a query, and compares exactly what it finds.

    Rows of a folder are compared without an index where these are few, and so is a large share of
    all.

    Args:
        features: float32 (N, E), l2-normalised.
        centres: float32 (K, E).
        clusters: int64 (N,), in which each row lies.

    Attributes:
        probes: how many clusters a query looks into.
    """

    def __init__(self, features: np.ndarray, centres: np.ndarray, clusters: np.ndarray) -> None:
        super().__init__(features)
        self.probes = PROBES
        self._faiss = faiss = import_faiss()
        width = features.shape[1]
        self._centres = faiss.IndexFlatIP(width)  # the lists refer to it
        self._centres.add(centres)
        # Half the memory; what is found is compared in float32.
        self._lists = faiss.IndexIVFScalarQuantizer(
            self._centres, width, len(centres), faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT, False)
        self._lists.is_trained = True  # float16 has nothing to learn
        for start in range(0, len(features), _ROWS_AT_ONCE):
            part = np.ascontiguousarray(features[start:start + _ROWS_AT_ONCE])
            own = np.ascontiguousarray(clusters[start:start + _ROWS_AT_ONCE])
            numbers = np.arange(start, start + len(part))
            self._lists.add_core(len(part), *map(faiss.swig_ptr, (part, numbers, own)))

    def nearest(self, queries: np.ndarray, count: int,
                rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """As of :class:`ExactIndex`; of what lies far from all others a row may be missed."""
        number = len(self.features if rows is None else rows)
        if number < EXACT_BELOW or count > _LARGEST_SHARE * number:
            return super().nearest(queries, count, rows)
        self.check(queries)
        faiss = self._faiss
        options = dict(nprobe=self.probes)
        if rows is not None:
            wanted = np.zeros(len(self.features), bool)
            wanted[rows] = True
            options['sel'] = faiss.IDSelectorBitmap(np.packbits(wanted, bitorder='little'))
        _, found = self._lists.search(queries, count, params=faiss.SearchParametersIVF(**options))
        if (found < 0).any():  # the clusters hold fewer
            return super().nearest(queries, count, rows)
        cosines = np.stack([self.features[own] @ query
                            for own, query in zip(found, queries, strict=True)])
        order = np.lexsort((found, -cosines))
        return np.take_along_axis(found, order, axis=1), np.take_along_axis(cosines, order, axis=1)


def open_index(folder: str | os.PathLike, features: FeatureSet) -> ExactIndex:
    """Make what finds the nearest of a finished extraction: exactly below ``EXACT_BELOW`` rows.

    Above, ``clusters.safetensors`` in the folder is read, brought up to date and written, or made
    where it is missing (minutes for a million rows). Without FAISS all is compared; that is said.
    """
    if len(features.features) < EXACT_BELOW:
        return ExactIndex(features.features)
    path = Path(folder, FILE)
    try:
        import_faiss()
    except MissingPackageError as error:
        print_log(f'all {len(features.features)} rows are compared: {error}', 'current')
        return ExactIndex(features.features)
    before = _read(path, features.features.shape[1])
    clusters = _update(before, features)
    if before is None or not (np.array_equal(before.keys, clusters.keys)
                              and np.array_equal(before.clusters, clusters.clusters)):
        try:
            write_atomically(path, lambda draft: save_file(
                dict(centres=clusters.centres, keys=clusters.keys, clusters=clusters.clusters,
                     rows=np.array([clusters.rows])), draft))
        except OSError as error:  # a folder that only others may write to
            print_log(f'the index is made anew each time: {error}', 'current')
    places = np.searchsorted(clusters.keys, features.keys)
    return ClusteredIndex(features.features, clusters.centres, clusters.clusters[places])


def _update(before: Clusters | None, features: FeatureSet) -> Clusters:
    """Put all rows into clusters: of those that are known, into theirs."""
    order = np.argsort(features.keys)
    keys = features.keys[order]
    if before is not None and len(keys) <= _GROWTH * before.rows:
        places = np.minimum(np.searchsorted(before.keys, keys), len(before.keys) - 1)
        is_known = before.keys[places] == keys
        clusters = before.clusters[places]
        parts = keys >> 32
        others = _other_parts(before.centres, features.features, order[is_known],
                              clusters[is_known], parts[is_known])
        if len(others) <= len(np.unique(parts[is_known])) / 2:
            is_known &= ~np.isin(parts, others)
            new = order[~is_known]
            clusters[~is_known] = nearest_centres(before.centres, features.features, new)
            return Clusters(centres=before.centres, keys=keys, clusters=clusters, rows=before.rows)
        print_log('the index is of other features: it is made anew', 'current')
    centres, rows = centres_of(features.features)
    return Clusters(centres=centres, keys=keys, rows=rows,
                    clusters=nearest_centres(centres, features.features, order))


def _other_parts(centres: np.ndarray, features: np.ndarray, rows: np.ndarray,
                 clusters: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Parts that are others under their old numbers: few of some rows lie where the file says."""
    numbers, starts, counts = np.unique(parts, return_index=True, return_counts=True)
    some = [start + count * i // _ROWS_OF_A_PART for start, count in zip(
        starts.tolist(), counts.tolist(), strict=True) for i in range(_ROWS_OF_A_PART)]
    alike = nearest_centres(centres, features, rows[some]) == clusters[some]
    return numbers[alike.reshape(-1, _ROWS_OF_A_PART).mean(axis=1) < _FEWEST_AGREE]


def centres_of(features: np.ndarray) -> tuple[np.ndarray, int]:
    """Centres of clusters, float32 (K, E), and of how many rows they are for."""
    number = len(features)
    count = _CLUSTERS_PER_ROOT * math.isqrt(number)
    print_log(f'an index of {number} rows is made, once', 'current')
    some = np.random.default_rng(0).choice(number, min(number, _ROWS_PER_CLUSTER * count),
                                           replace=False)
    means = import_faiss().Kmeans(
        features.shape[1], count, niter=_ITERATIONS, spherical=True, seed=0,
        max_points_per_centroid=_ROWS_PER_CLUSTER, min_points_per_centroid=1)
    means.train(features[np.sort(some)])
    return np.asarray(means.centroids, np.float32), number


def nearest_centres(centres: np.ndarray, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """int64, of each of the rows."""
    return np.concatenate([np.zeros(0, np.int64), *(
        (features[rows[start:start + _ROWS_AT_ONCE]] @ centres.T).argmax(axis=1)
        for start in range(0, len(rows), _ROWS_AT_ONCE))])


def _read(path: Path, width: int) -> Clusters | None:
    """Read the file; None where there is none, or it is damaged, which is said."""
    try:
        found: Mapping[str, Any] = load_file(path)
        centres, keys, clusters, rows = (
            found[name] for name in ('centres', 'keys', 'clusters', 'rows'))
        if not (centres.dtype == np.float32 and keys.dtype == clusters.dtype == rows.dtype
                == np.int64 and centres.ndim == 2 and centres.shape[1] == width and len(centres)
                and np.isfinite(centres).all() and keys.ndim == 1 and len(keys)
                and (keys[1:] > keys[:-1]).all() and clusters.shape == keys.shape
                and clusters.min() >= 0 and clusters.max() < len(centres) and rows.shape == (1, )):
            raise ValueError('its arrays do not fit')
    except FileNotFoundError:
        return None
    except Exception as error:  # what damaged bytes make of it
        print_log(f'{path} is damaged, and made anew ({error})', 'current')
        return None
    return Clusters(centres=centres, keys=keys, clusters=clusters, rows=int(rows[0]))


def import_faiss() -> ModuleType:
    """Raises a MissingPackageError where it is not installed."""
    with needed_for('an index'):
        import faiss
    return faiss
