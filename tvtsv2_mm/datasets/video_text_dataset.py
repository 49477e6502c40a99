"""What all data sets share: randomness, and samples that cannot be used."""

import os.path as osp
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import get_rank
from torch.utils.data import get_worker_info

from tvtsv2_mm.datasets.drawn_index import DrawnIndex
from tvtsv2_mm.datasets.errors import SampleError, UnusableSampleError
from tvtsv2_mm.registry import TRANSFORMS


class VideoTextDataset(BaseDataset):
    """Base of the data sets of videos.

    In training, a sample that a transform gives up (SampleError) is skipped and another, random
    one takes its place; what was skipped and why travels in the ``skipped`` of the sample that is
    returned, and :class:`~tvtsv2_mm.engine.hooks.SkippedSampleHook` counts and reports it. In test
    mode the error is raised: evaluation never leaves out or replaces a sample.

    The pipeline gets: filename, sample_id, rng (all randomness of the transforms comes from it; in
    test mode it depends on the index alone), and the keys of the subclass.

    Args:
        ann_file: annotation file.
        data_root: folder before ``ann_file`` and ``data_prefix``.
        data_prefix: ``dict(video=...)``, the folder before the paths in the annotation file.
        pipeline: transforms.
        test_mode: evaluation instead of training.
        max_refetch: samples in a row that may be skipped in training.
        kwargs: the other arguments of mmengine's BaseDataset.

    Raises:
        FileNotFoundError: there is no annotation file, or no folder of the videos.
        ValueError: ``data_prefix`` has another key.
        AnnotationError: a line of it does not fit.
        RuntimeError: ``max_refetch`` samples in a row could not be used.
    """

    def __init__(self,
                 ann_file: str,
                 *,
                 data_root: str = '',
                 data_prefix: dict | None = None,
                 pipeline: list | None = None,
                 test_mode: bool = False,
                 max_refetch: int = 100,
                 **kwargs: Any) -> None:
        prefix = dict(video='') | dict(data_prefix or {})
        if set(prefix) != {'video'}:
            raise ValueError(f'data_prefix must be dict(video=FOLDER), got {dict(data_prefix)}')
        self._rank = get_rank()
        super().__init__(
            ann_file,
            data_root=data_root,
            data_prefix=prefix,
            pipeline=[TRANSFORMS.build(step) if isinstance(step, Mapping) else step
                      for step in pipeline or []],
            test_mode=test_mode,
            max_refetch=max_refetch,
            **kwargs)

    def full_init(self) -> None:
        """Load the annotation file and look for the folder of the videos."""
        super().full_init()
        folder = self.data_prefix['video']
        if folder and '://' not in folder and not osp.isdir(folder):
            raise FileNotFoundError(f'there is no folder {folder} of the videos '
                                    "(data_root and data_prefix['video'])")

    def __getitem__(self, idx: int) -> dict:
        """Return the idx-th sample, or in training one in its place."""
        if not self._fully_initialized:
            self.full_init()
        if self.test_mode:
            return self._prepare(idx, np.random.default_rng(idx), [])
        rng = self._training_rng(idx)
        skipped: list[dict] = []
        while len(skipped) <= self.max_refetch:
            try:
                return self._prepare(idx, rng, skipped)
            except SampleError as error:
                skipped.append(dict(path=error.path, reason=error.reason))
                idx = int(rng.integers(len(self)))
        raise RuntimeError(
            f'{self.ann_file}: {len(skipped)} samples in a row could not be used; the last one: '
            f'{skipped[-1]["path"]}: {skipped[-1]["reason"]}')

    def _training_rng(self, idx: int) -> np.random.Generator:
        """A generator of its own for each sample that is drawn.

        Our samplers say with the index what it is seeded with (see DrawnIndex): the same seed
        draws the same, however many workers there are. Other samplers do not. Then: mmengine
        seeds numpy's global generator by rank and worker, but in workers the same way in every
        epoch, and without workers the same way on every rank. torch's seed of a worker changes
        with the epoch.
        """
        if isinstance(idx, DrawnIndex):
            return np.random.default_rng(idx.draw)
        worker = get_worker_info()
        return np.random.default_rng(
            (np.random.randint(2**31), worker.seed if worker else 0, self._rank))

    def _prepare(self, idx: int, rng: np.random.Generator, skipped: list[dict]) -> dict:
        results = self.get_data_info(idx)
        results.update(rng=rng, skipped=skipped)
        filename = results['filename']
        packed = self.pipeline(self._draw(results))
        if packed is None:
            raise UnusableSampleError(filename, 'a transform of the pipeline returned None')
        return packed

    def _draw(self, results: dict) -> dict:
        """Draw from what the annotation offers; a subclass may."""
        return results

    def _video(self, path: str, sample_id: str | None = None) -> dict:
        """Keys that every sample has."""
        return dict(
            filename=osp.join(self.data_prefix['video'], path), sample_id=sample_id or path)
