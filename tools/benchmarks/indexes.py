"""The indexes that tools/benchmarks/index.py compares, the windows, and how they are measured."""

import ctypes
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from results import show_progress

from tvtsv2_mm.apis.search.index import ClusteredIndex, centres_of, import_faiss, nearest_centres
from tvtsv2_mm.apis.search.vectors import ExactIndex

WINDOWS, TOPICS, DIRECTIONS = 100, 200, 64
QUERIES, NEAREST, ENOUGH = 200, 10, 0.95
CHANGED = 0.01  # of the rows, that go and come
PROBES_TRIED = [2**i for i in range(1, 10)]
EFFORTS_TRIED = [2**i for i in range(4, 12)]

Search = Callable[[np.ndarray, int], np.ndarray]  # queries (M, E), effort -> rows (M, NEAREST)


class Contestant(NamedTuple):
    """An index that holds all rows."""

    search: Search
    efforts: list[int]
    change: Callable[[np.ndarray], Any] | None  # leaves rows of these numbers out, and adds them
    handle: Any  # what it is made of


class Made:
    """Windows and queries."""

    def __init__(self, rows: int, width: int) -> None:
        rng = np.random.default_rng(0)
        self._rng, self._width = rng, width
        self._space = rng.standard_normal((DIRECTIONS, width), np.float32) / DIRECTIONS**0.5
        self._topics = rng.standard_normal((TOPICS, DIRECTIONS), np.float32)
        videos = np.array_split(np.arange(rows // WINDOWS), max(rows // WINDOWS // 100, 1))
        self.rows = np.concatenate([self._videos(len(part)) for part in videos])
        gap = 2 * rng.standard_normal(width, np.float32)
        self.queries = dict(
            like=_unit(self.rows[rng.integers(len(self.rows), size=QUERIES)] + self._noise(
                QUERIES, 0.02)),
            text=_unit(self._near_topics(QUERIES) @ self._space + self._noise(QUERIES, 1.0) + gap))
        exact = ExactIndex(self.rows)
        self.nearest = {kind: exact.nearest(queries, NEAREST)[0]
                        for kind, queries in self.queries.items()}

    def _noise(self, number: int, size: float) -> np.ndarray:
        return size * self._rng.standard_normal((number, self._width), np.float32)

    def _near_topics(self, number: int) -> np.ndarray:
        return self._topics[self._rng.integers(TOPICS, size=number)] + (
            0.7 * self._rng.standard_normal((number, DIRECTIONS), np.float32))

    def _videos(self, number: int) -> np.ndarray:
        steps = 0.12 * self._rng.standard_normal((number, WINDOWS, DIRECTIONS), np.float32)
        places = self._near_topics(number)[:, None] + steps.cumsum(axis=1)
        return _unit(places.reshape(-1, DIRECTIONS) @ self._space
                     + self._noise(number * WINDOWS, 0.25))

    def recall(self, kind: str, found: np.ndarray) -> float:
        """The share of the nearest that was found."""
        return float(np.mean([np.isin(own, found[row]).mean()
                              for row, own in enumerate(self.nearest[kind])]))


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def exact(rows: np.ndarray) -> Contestant:
    """Ours below EXACT_BELOW."""
    index = ExactIndex(rows)
    return Contestant(lambda queries, _: index.nearest(queries, NEAREST)[0], [0], None, index)


def ours(rows: np.ndarray) -> Contestant:
    """Ours above. After a change it is opened anew, with the clusters of what stayed."""
    centres, _ = centres_of(rows)
    clusters = nearest_centres(centres, rows, np.arange(len(rows)))
    index = ClusteredIndex(rows, centres, clusters)

    def search(queries: np.ndarray, probes: int) -> np.ndarray:
        index.probes = probes
        return index.nearest(queries, NEAREST)[0]

    def change(numbers: np.ndarray) -> ClusteredIndex:
        clusters[numbers] = nearest_centres(centres, rows, numbers)
        return ClusteredIndex(rows, centres, clusters)

    return Contestant(search, PROBES_TRIED, change, index)


def lists_of(kind: str) -> Callable[[np.ndarray], Contestant]:
    """FAISS's inverted lists with vectors of another kind, compared no more."""
    def make(rows: np.ndarray) -> Contestant:
        faiss = import_faiss()
        centres, _ = centres_of(rows)
        index = faiss.index_factory(rows.shape[1], f'IVF{len(centres)},{kind}',
                                    faiss.METRIC_INNER_PRODUCT)
        index.quantizer.add(centres)
        index.train(rows[::50])  # the range of values; the centres are there
        index.add(rows)

        def search(queries: np.ndarray, probes: int) -> np.ndarray:
            return index.search(queries, NEAREST,
                                params=faiss.SearchParametersIVF(nprobe=probes))[1]

        def change(numbers: np.ndarray) -> None:
            index.remove_ids(numbers)
            index.add_with_ids(rows[numbers], numbers)

        return Contestant(search, PROBES_TRIED, change, index)
    return make


def hnswlib(rows: np.ndarray) -> Contestant:
    """A graph, in an order that is not that of the videos: else it falls to pieces."""
    from hnswlib import Index
    index = Index('ip', rows.shape[1])
    index.init_index(len(rows), M=32, ef_construction=200)
    order = np.random.default_rng(1).permutation(len(rows))
    index.add_items(rows[order], order)

    def search(queries: np.ndarray, effort: int) -> np.ndarray:
        index.set_ef(effort)
        return index.knn_query(queries, NEAREST, num_threads=1)[0].astype(np.int64)

    def change(numbers: np.ndarray) -> None:
        for number in numbers.tolist():
            index.mark_deleted(number)
        index.add_items(rows[numbers], numbers)

    return Contestant(search, EFFORTS_TRIED, change, index)


def usearch(dtype: str) -> Callable[[np.ndarray], Contestant]:
    """The same by another library, with vectors of another kind."""
    def make(rows: np.ndarray) -> Contestant:
        from usearch.index import Index
        index = Index(ndim=rows.shape[1], metric='ip', dtype=dtype, connectivity=32,
                      expansion_add=200)
        order = np.random.default_rng(1).permutation(len(rows))
        index.add(order, rows[order])

        def search(queries: np.ndarray, effort: int) -> np.ndarray:
            index.expansion_search = effort
            return np.stack([index.search(query, NEAREST, threads=1).keys.astype(np.int64)
                             for query in queries])

        def change(numbers: np.ndarray) -> None:
            index.remove(numbers)
            index.add(numbers, rows[numbers])

        return Contestant(search, EFFORTS_TRIED, change, index)
    return make


CONTESTANTS: dict[str, Callable[[np.ndarray], Contestant]] = {
    'all compared': exact,
    'ours: FAISS, lists, float16, compared again': ours,
    'FAISS, lists, float32': lists_of('Flat'),
    'FAISS, lists, float16': lists_of('SQfp16'),
    'FAISS, lists, int8': lists_of('SQ8'),
    'hnswlib, float32': hnswlib,
    'usearch, float32': usearch('f32'),
    'usearch, float16': usearch('f16'),
    'usearch, int8': usearch('i8'),
}


def measure(name: str, make: Callable[[np.ndarray], Contestant], made: Made) -> dict[str, Any]:
    """A row of the table."""
    before, started = _resident(), time.process_time()
    index = make(made.rows)
    seconds = time.process_time() - started
    row: dict[str, Any] = dict(table='indexes', index=name, build_cpu_seconds=seconds,
                               memory_gb=(_resident() - before) / 1e9)
    found: dict[str, tuple[float, float, int]] = {}
    for kind, queries in made.queries.items():
        for effort in index.efforts:
            started = time.process_time()
            rows = np.concatenate([index.search(query[None], effort) for query in queries])
            spent = time.process_time() - started
            found[kind] = made.recall(kind, rows), spent / len(queries) * 1e3, effort
            if found[kind][0] >= ENOUGH:
                break
        recall, ms, effort = found[kind]
        row |= {f'{kind}_recall_share': recall, f'{kind}_cpu_ms': ms, f'{kind}_effort': str(effort)}
    if index.change is not None:
        started = time.process_time()
        index.change(np.arange(0, len(made.rows), round(1 / CHANGED)))
        row['change_cpu_seconds'] = time.process_time() - started
    show_progress(str(row))
    return row


def kept_as(made: Made) -> Iterator[dict[str, Any]]:
    """What vectors of fewer bits cost: all compared, and the 40 best compared again."""
    largest = float(np.abs(made.rows).max())
    for dtype, width in (('float16', 2), ('int8', 1)):
        row: dict[str, Any] = dict(table='kept as', dtype=dtype,
                                   memory_gb=made.rows.size * width / 1e9)
        kept = np.empty_like(made.rows)
        for start in range(0, len(kept), 2**16):
            part = made.rows[start:start + 2**16]
            kept[start:start + 2**16] = part.astype(np.float16) if dtype == 'float16' else (
                np.round(part * (127 / largest)))
        for kind, queries in made.queries.items():
            rows = ExactIndex(kept).nearest(queries, 4 * NEAREST)[0]
            again = [own[np.argsort(-made.rows[own] @ query, kind='stable')[:NEAREST]]
                     for own, query in zip(rows, queries, strict=True)]
            row |= {f'{kind}_recall_share': made.recall(kind, rows[:, :NEAREST]),
                    f'{kind}_again_recall_share': made.recall(kind, np.stack(again))}
        show_progress(str(row))
        yield row


def _resident() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the index before it took is not at hand
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


def measure_all(rows: int, width: int, chosen: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of both tables."""
    made = Made(rows, width)
    show_progress(f'{len(made.rows)} windows are made')
    return [*(measure(name, CONTESTANTS[name], made) for name in chosen or CONTESTANTS),
            *kept_as(made)]
