"""``--frames``: a test of how much a model knows of time, by what it is shown of a video."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from tvtsv2_mm.utils.config_errors import walk


def show_frames(cfg: Config, frames: str | None) -> None:
    """Let a config's test show its frames so, one of ``choices.FRAMES``; None leaves it.

    That of a query bank too. A sampler of MMAction2 gets a ``ShowFrames`` behind it.

    Raises:
        ValueError: no step of the test pipeline chooses frames.
    """
    if frames is None:
        return
    found = [part for root in (cfg.get('test_dataloader'), cfg.get('custom_hooks'))
             for _, part in walk([root])
             if isinstance(part, dict) and isinstance(part.get('pipeline'), list | tuple)]
    for part in found:
        part['pipeline'] = _with_frames(part['pipeline'], frames)


def _with_frames(pipeline: list | tuple, frames: str) -> list:
    """A copy of a pipeline, for it may stand in the config for training too."""
    steps: list[Any] = [dict(step) if isinstance(step, Mapping) else step for step in pipeline
                        if _kind(step) != 'ShowFrames']
    for place, step in enumerate(steps):
        if _kind(step) == 'SampleClipFrames':
            step['frames'] = frames
            return steps
        if _kind(step).endswith(('Sample', 'SampleFrames')):
            return [*steps[:place + 1], dict(type='tvtsv2_mm.ShowFrames', frames=frames),
                    *steps[place + 1:]]
    raise ValueError(f'--frames {frames}: no step of the test pipeline chooses the frames of a '
                     'video: it needs SampleClipFrames, or a sampler of MMAction2')


def _kind(step: Any) -> str:
    """The class of a step, without the scope."""
    kind = step.get('type', '') if isinstance(step, Mapping) else type(step)
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
