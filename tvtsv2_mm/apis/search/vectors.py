"""The rows that are nearest to a query, exactly."""

import numpy as np

_VALUES_AT_ONCE = 2**25  # cosines in memory


class ExactIndex:
    """Compares all rows.

    Args:
        features: float32 (N, E), l2-normalised.
    """

    def __init__(self, features: np.ndarray) -> None:
        self.features = features

    def nearest(self, queries: np.ndarray, count: int,
                rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows with the largest cosines.

        Args:
            queries: float32 (M, E), l2-normalised.
            count: how many rows.
            rows: int64, ascending, those that are asked for; None: all.

        Returns:
            int64 rows and float32 cosines, each (M, min(count, N)), best first.

        Raises:
            ValueError: the widths differ, or a cosine is not finite.
        """
        self.check(queries)
        if rows is None:
            return _nearest(self.features, queries, count)
        # Mostly they follow each other, and are not copied.
        in_a_row = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
        own = self.features[rows[0]:rows[-1] + 1] if in_a_row else self.features[rows]
        found, cosines = _nearest(own, queries, count)
        return rows[found], cosines

    def check(self, queries: np.ndarray) -> None:
        """Raises a ValueError where the queries come from another model."""
        if self.features.shape[1] != queries.shape[1]:
            raise ValueError(f'the features have width {self.features.shape[1]}, the queries '
                             f'{queries.shape[1]}: they come from different models')


def _nearest(features: np.ndarray, queries: np.ndarray,
             count: int) -> tuple[np.ndarray, np.ndarray]:
    count = min(count, len(features))
    rows = np.empty((len(queries), count), np.int64)
    cosines = np.empty((len(queries), count), np.float32)
    step = max(_VALUES_AT_ONCE // max(len(features), 1), 1)
    for start in range(0, len(queries), step):
        part: np.ndarray = queries[start:start + step] @ features.T
        if not np.isfinite(part).all():
            raise ValueError('the features or the queries hold NaN or infinity: extract them anew')
        # Without sorting all.
        chosen = np.argpartition(-part, count - 1, axis=1)[:, :count] if count else part[:, :0]
        values: np.ndarray = np.take_along_axis(part, chosen.astype(np.int64), axis=1)
        order = np.lexsort((chosen, -values))  # equal ones in their order
        rows[start:start + step] = np.take_along_axis(chosen, order, axis=1)
        cosines[start:start + step] = np.take_along_axis(values, order, axis=1)
    return rows, cosines
