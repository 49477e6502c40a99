"""Pictures of predictions over the frames that they were made from.

Frames of a video are uint8 (T, H, W, 3), predictions what the inferencer gives, and pictures uint8
(H, W, 3) in RGB.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import make_folder, write_atomically

with needed_for('drawing'):
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

_MAX_FRAMES = 8
_COLOURS = ('tab:blue', 'tab:orange', 'tab:green', 'tab:red', 'tab:purple', 'tab:brown', 'tab:pink',
            'tab:olive')


def draw_labels(frames: np.ndarray, prediction: Mapping) -> np.ndarray:
    """Draw the best labels of a video as bars under its frames."""
    count = len(prediction['labels'])
    figure, bars = _below_frames(frames, prediction, 2.2 + 0.4 * count, 0.4 * count)
    places = np.arange(count)
    bars.barh(places, prediction['probabilities'], color=_COLOURS[0])
    bars.set_yticks(places, [_shorten(label) for label in prediction['labels']])
    for place, (share, score) in enumerate(
            zip(prediction['probabilities'], prediction['scores'], strict=True)):
        bars.text(share + 0.01, place, f'{share:.1%} (cosine {score:.3f})', va='center', fontsize=8)
    bars.invert_yaxis()
    bars.set_xlim(0, 1.25)
    bars.set_xticks([0, 0.5, 1])
    return _render(figure)


def draw_order(frames: np.ndarray, prediction: Mapping) -> np.ndarray:
    """Draw transcripts in their predicted order along the time line, under the frames."""
    count = len(prediction['order'])
    figure, line = _below_frames(frames, prediction, 2.4 + 0.35 * count, 0.6 + 0.35 * count)
    for place, (given, text) in enumerate(
            zip(prediction['order'], prediction['transcripts'], strict=True)):
        colour = _COLOURS[given % len(_COLOURS)]
        line.barh(place, 1 / count, left=place / count, color=colour, alpha=0.5)
        # A long text runs over its bar, but not out of the picture.
        late = place >= count / 2
        line.text((place + late) / count + (-0.005 if late else 0.005), place,
                  f'[{given}] {_shorten(text)}', va='center', ha='right' if late else 'left',
                  fontsize=8)
    line.set_xlim(0, 1)
    line.set_xlabel('time; [n]: n-th as given')
    line.set_xticks([])
    line.set_yticks([])
    line.invert_yaxis()
    return _render(figure)


def draw_search(frames: Mapping[str, np.ndarray], prediction: Mapping) -> np.ndarray:
    """Draw the middle frames (``frames`` by video) of the videos found for a text, best first."""
    count = len(prediction['videos'])
    figure = Figure(figsize=(2.2 * max(count, 1), 2.8), layout='constrained')
    figure.suptitle(_shorten(prediction['text'], 80))
    for i, (video, score) in enumerate(
            zip(prediction['videos'], prediction['scores'], strict=True)):
        axes = figure.add_subplot(1, count, i + 1)
        axes.imshow(frames[video][len(frames[video]) // 2])
        axes.set_title(f'{_shorten(Path(video).name, 24)}\n{score:.3f}', fontsize=8)
        axes.axis('off')
    return _render(figure)


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write a picture, and the folder that it goes to."""
    make_folder(Path(path).parent)
    write_atomically(Path(path), partial(imsave, arr=image, format='png'))


def _below_frames(frames: np.ndarray, prediction: Mapping, height: float,
                  share: float) -> tuple[Figure, Axes]:
    """A figure with frames of the video on top, 1.8 high, and what is below, ``share`` high."""
    figure = Figure(figsize=(10, height), layout='constrained')
    strip, below = figure.subplots(2, 1, height_ratios=(1.8, share))
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), _MAX_FRAMES)).round().astype(int)
    strip.imshow(np.concatenate(list(frames[chosen]), axis=1))
    strip.axis('off')
    strip.set_title(Path(prediction['video']).name)
    return figure, below


def _shorten(text: str, length: int = 60) -> str:
    # A dollar sign would start a formula.
    text = text.replace('$', r'\$')
    return text if len(text) <= length else f'{text[:length - 1]}…'


def _render(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
