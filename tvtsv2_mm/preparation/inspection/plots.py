"""The plots of the page."""

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tvtsv2_mm.utils.extras import needed_for

with needed_for('drawing'):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOUR = 'tab:blue'
_BINS = 40
_MAX_BARS = 12


def histogram(numbers: Sequence[float], label: str, *, log: bool = False) -> bytes:
    """A histogram of a number a record as a PNG.

    Args:
        numbers: One or more.
        label: What they are, with the unit.
        log: Draw the axis and the bins in powers of ten (values of 0 are left out).
    """
    values = np.asarray(numbers, dtype=float)
    figure, axes = _figure(label)
    bins: Any = _BINS
    if log:
        values = values[values > 0]
        if len(values) and values.min() < values.max():
            bins = np.geomspace(values.min(), values.max(), _BINS + 1)
            axes.set_xscale('log')
    axes.hist(values, bins=bins, color=_COLOUR)
    if len(values):
        low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
        axes.axvline(median, color='black', linewidth=1)
        axes.set_title(f'median {median:.4g}, 5 to 95 %: {low:.4g} to {high:.4g}', fontsize=9)
    axes.set_ylabel('records')
    return _png(figure)


def bars(counts: Counter[str], label: str) -> bytes:
    """The largest counts as horizontal bars, a PNG."""
    largest = counts.most_common(_MAX_BARS)
    figure, axes = _figure(label)
    axes.barh([name for name, _ in largest], [count for _, count in largest], color=_COLOUR)
    axes.invert_yaxis()
    return _png(figure)


def _figure(label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 2.8), layout='constrained')
    axes = figure.subplots()
    axes.set_xlabel(label)
    return figure, axes


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format='png', dpi=110)
    return target.getvalue()
