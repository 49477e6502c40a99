"""Several clips of one video: opened once, decoded in one pass."""

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.registry import FUNCTIONS, TRANSFORMS
from tvtsv2_mm.utils.randomness import generators_kept


def build_transforms(pipeline: Sequence | None) -> list[Callable]:
    """The transforms of a pipeline, each given as its config or as itself."""
    return [TRANSFORMS.build(step) if isinstance(step, Mapping) else step
            for step in pipeline or ()]


def run_transforms(transforms: Sequence[Callable], clips: list[dict]) -> list[Any]:
    """Take the clips of one video through a pipeline, step by step together.

    A transform that has ``transform_clips`` gets all clips at once (``OpenVideo`` opens the video
    for all of them, ``DecodeClip`` decodes the frames of all in one pass); every other one is
    called for each clip. What the pipeline gets and gives is a list with an entry for each clip.
    Those of others, which draw from the global generators, draw by the clips' ``rng`` too.

    Raises:
        UnusableSampleError: If a transform returns None.
    """
    filename = clips[0]['filename']
    with _seeded_by(clips[0].get('rng')):
        for transform in transforms:
            together = getattr(transform, 'transform_clips', None)
            clips = together(clips) if together else [transform(clip) for clip in clips]
            if any(clip is None for clip in clips):
                raise UnusableSampleError(filename, 'a transform of the pipeline returned None')
    return clips


@contextmanager
def _seeded_by(rng: np.random.Generator | None) -> Generator[None]:
    """Seed the global generators with a sample's own; behind it they are what they were."""
    if rng is None:
        yield
        return
    seed_sequence: Any = rng.bit_generator.seed_seq
    [seed] = seed_sequence.generate_state(1).tolist()  # which draws nothing from it
    with generators_kept():
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs as well
        yield


@FUNCTIONS.register_module()
def collate_clips(batch: Sequence[list | dict]) -> dict:
    """mmengine's pseudo_collate for a data set with ``clips_per_video``: B videos of N clips each
    make a batch of B * N clips; data sets of single clips may stand beside it.

    Used as ``collate_fn=dict(type='tvtsv2_mm.collate_clips')`` of a data loader.
    """
    return pseudo_collate([clip for item in batch
                           for clip in (item if isinstance(item, list) else [item])])
