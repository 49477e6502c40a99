"""One picture of a run: how it learnt, what it matches, and what it sees in order."""

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.config import Config

from tvtsv2_mm.experiments.protocols import predict, read_scalars
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = {'clip': ('loss_contrastive', ), 'tvtsv2': ('loss_contrastive', 'loss_sorting')}
NAMES = {'clip': 'tiny CLIP', 'tvtsv2': 'TVTSv2'}


def draw_figures(folder: Path, *, logs: dict[str, Path], configs: dict[str, Config],
                 checkpoint: str) -> str:
    """Draw the picture of a run into ``folder``, and return its path.

    Args:
        folder: Where ``quickstart.png`` goes.
        logs: Work folders of the trainings, by model.
        configs: The configs of 'retrieval' and 'sorting'.
        checkpoint: Of the trained model.
    """
    with needed_for('drawing'):
        import matplotlib
        matplotlib.use('Agg')  # no screen is needed
        import matplotlib.pyplot as plt

    retrieved = [sample for _, sample in predict(configs['retrieval'], folder, checkpoint)]
    # The first video of the split: not the best one.
    clip, sample = next(predict(configs['sorting'], folder, checkpoint))

    figure = plt.figure(figsize=(15, 9), layout='constrained')
    subfigures: Any = figure.subfigures(2, 1, height_ratios=(1, 1))
    upper, lower = subfigures
    axes = upper.subplots(1, 3)
    draw_losses(axes[0], logs)
    draw_sorting_curve(axes[1], logs['tvtsv2'])
    draw_similarities(axes[2], retrieved)
    draw_order(lower, clip.permute(0, 2, 3, 1).cpu().numpy(), sample.texts,
               sample.order_logits.float().softmax(dim=-1).cpu().numpy())
    path = folder / 'quickstart.png'
    write_atomically(path, partial(figure.savefig, format='png', dpi=110))
    plt.close(figure)
    return str(path)


def draw_losses(axis: 'Axes', logs: dict[str, Path]) -> None:
    """Losses over the steps."""
    for model, names in CURVES.items():
        lines = read_scalars(logs[model])
        for name in names:
            points = [(line['step'], line[name]) for line in lines if name in line]
            axis.plot(*zip(*points, strict=True), label=f'{NAMES[model]}: {name}')
    axis.set(title='training losses', xlabel='step', ylabel='loss')
    axis.legend()


def draw_sorting_curve(axis: 'Axes', folder: Path) -> None:
    """Share of transcripts put right over the steps, in training."""
    points = [(line['step'], 100 * line['acc_sorting']) for line in read_scalars(folder)
              if 'acc_sorting' in line]
    axis.plot(*zip(*points, strict=True), label='training, with tube mask')
    axis.axhline(25, color='grey', linestyle=':', label='chance')
    axis.set(title='transcripts put in their place (%)', xlabel='step', ylim=(0, 100))
    axis.legend()


def draw_similarities(axis: 'Axes', samples: list) -> None:
    """Cosines of the first caption of each test video with every video."""
    texts = np.stack([sample.text_embeds[0].cpu().numpy() for sample in samples])
    videos = np.stack([sample.video_embed.cpu().numpy() for sample in samples])
    image = axis.imshow(texts @ videos.T, cmap='viridis')
    axis.set(title='cosine of caption (row) and video (column)', xlabel='video', ylabel='caption')
    axis.figure.colorbar(image, ax=axis, shrink=0.8)


def draw_order(figure: 'Figure', frames: np.ndarray, texts: list[str],
               probabilities: np.ndarray) -> None:
    """Frames (T, H, W, 3) of a clip, and where in it each of K transcripts is placed (K, K)."""
    subfigures: Any = figure.subfigures(2, 1, height_ratios=(1, 1.6))
    top, bottom = subfigures
    for axis, frame in zip(top.subplots(1, len(frames)), frames, strict=True):
        axis.imshow(frame)
        axis.set_axis_off()
    top.suptitle('one held-out video, and where in it each transcript is put '
                 '(true order from top to bottom: the diagonal is right)')
    axis = bottom.subplots()
    axis.imshow(probabilities, cmap='Blues', vmin=0, vmax=1, aspect='auto')
    count = len(texts)
    for row, column in itertools.product(range(count), repeat=2):
        value = probabilities[row, column]
        axis.text(column, row, f'{100 * value:.0f} %', ha='center', va='center',
                  color='white' if value > 0.5 else 'black')
    axis.set_xticks(range(count), [f'part {k + 1}' for k in range(count)])
    axis.set_yticks(range(count), texts)
