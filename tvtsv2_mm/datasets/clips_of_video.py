"""Several clips of one video: opened once, decoded in one pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.dataset import pseudo_collate

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.registry import FUNCTIONS, TRANSFORMS


def build_transforms(pipeline: Sequence | None) -> list[Callable]:
    """The transforms of a pipeline, each given as its config or as itself."""
    return [TRANSFORMS.build(step) if isinstance(step, Mapping) else step
            for step in pipeline or ()]


def run_transforms(transforms: Sequence[Callable], clips: list[dict]) -> list[Any]:
    """Take the clips of one video through a pipeline, step by step together.

    A transform that has ``transform_clips`` gets all clips at once (``OpenVideo`` opens the video
    for all of them, ``DecodeClip`` decodes the frames of all in one pass); every other one is
    called for each clip. What the pipeline gets and gives is a list with an entry for each clip.

    Raises:
        UnusableSampleError: If a transform returns None.
    """
    filename = clips[0]['filename']
    for transform in transforms:
        together = getattr(transform, 'transform_clips', None)
        clips = together(clips) if together else [transform(clip) for clip in clips]
        if any(clip is None for clip in clips):
            raise UnusableSampleError(filename, 'a transform of the pipeline returned None')
    return clips


@FUNCTIONS.register_module()
def collate_clips(batch: Sequence[list | dict]) -> dict:
    """mmengine's pseudo_collate for a data set with ``clips_per_video``: B videos of N clips each
    make a batch of B * N clips; data sets of single clips may stand beside it.

    Used as ``collate_fn=dict(type='tvtsv2_mm.collate_clips')`` of a data loader.
    """
    return pseudo_collate([clip for item in batch
                           for clip in (item if isinstance(item, list) else [item])])
