"""The plots of the page."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_COLOUR = 'tab:blue'
_BINS = 40
_MAX_BARS = 12


def histogram(values: Sequence[float], label: str, *, log: bool = False) -> bytes:
    """A histogram as a PNG.

    Args:
        values: One number or more.
        label: What they are, with the unit.
        log: Draw the axis and the bins in powers of ten (values of 0 are left out).
    """
    values = np.asarray(values, dtype=float)
    figure, axes = _figure()
    bins: int | np.ndarray = _BINS
    if log:
        values = values[values > 0]
        if len(values) and values.min() < values.max():
            bins = np.geomspace(values.min(), values.max(), _BINS + 1)
            axes.set_xscale('log')
    axes.hist(values, bins=bins, color=_COLOUR)
    if len(values):
        median = float(np.median(values))
        axes.axvline(median, color='black', linewidth=1)
        axes.set_title(f'median {median:.4g}, 5 to 95 %: {np.quantile(values, 0.05):.4g} to '
                       f'{np.quantile(values, 0.95):.4g}', fontsize=9)
    axes.set_xlabel(label)
    axes.set_ylabel('records')
    return _png(figure)


def bars(counts: Mapping[str, int], label: str) -> bytes:
    """The largest counts as horizontal bars, a PNG."""
    largest = sorted(counts.items(), key=lambda item: -item[1])[:_MAX_BARS]
    figure, axes = _figure()
    axes.barh([name for name, _ in largest], [count for _, count in largest], color=_COLOUR)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return _png(figure)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 2.8), layout='constrained')
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format='png', dpi=110)
    return target.getvalue()
