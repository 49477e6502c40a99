"""What all data sets share: randomness, and samples that cannot be used."""

import os.path as osp
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import get_rank
from torch.utils.data import get_worker_info

from tvtsv2_mm.datasets.clips_of_video import build_transforms, run_transforms
from tvtsv2_mm.datasets.drawn_index import DrawnIndex
from tvtsv2_mm.datasets.quarantine import Quarantine
from tvtsv2_mm.video.errors import SampleError


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
        clips_per_video: clips that one opening of a video gives, N, decoded in one pass: other
            segments, frames, crops, masks (and captions, where there are several) of one video.
            With N > 1 a sample is a list of N clips, and the data loader needs
            ``collate_fn=dict(type='tvtsv2_mm.collate_clips')``; its batch_size counts videos (that
            of ``AlternatingBatchSampler`` clips). Clips of one video are alike: contrasting them
            with each other is harder than with other videos, and N shrinks the videos of a batch.
        quarantine: file with the list of videos that cannot be read, for training: those on it are
            skipped at once (counted like all others), those that fail are added. None for none.
        kwargs: the other arguments of mmengine's BaseDataset.

    Raises:
        FileNotFoundError: there is no annotation file, or no folder of the videos.
        ValueError: ``data_prefix`` has another key, or an option is for training only.
        AnnotationError: a line of it does not fit.
        RuntimeError: ``max_refetch`` samples in a row could not be used.
    """

    def __init__(self, ann_file: str, *, data_root: str = '', data_prefix: dict | None = None,
                 pipeline: list | None = None, test_mode: bool = False, max_refetch: int = 100,
                 clips_per_video: int = 1, quarantine: str | None = None, **kwargs: Any) -> None:
        given = dict(data_prefix or {})
        if not set(given) <= {'video'}:
            raise ValueError(f'data_prefix must be dict(video=FOLDER), got {given}')
        if clips_per_video < 1 or (test_mode and clips_per_video > 1):
            raise ValueError('clips_per_video must be at least 1, and 1 in test mode, got '
                             f'{clips_per_video}')
        if test_mode and quarantine is not None:
            raise ValueError('quarantine is for training: in test mode no sample is left out')
        self.clips_per_video = clips_per_video
        self._quarantine = None if quarantine is None else Quarantine(quarantine)
        self._rank = get_rank()
        super().__init__(
            ann_file, data_root=data_root, data_prefix=dict(video='') | given,
            pipeline=build_transforms(pipeline), test_mode=test_mode, max_refetch=max_refetch,
            **kwargs)

    def full_init(self) -> None:
        """Load the annotation file and look for the folder of the videos."""
        super().full_init()
        folder = self.data_prefix['video']
        if folder and '://' not in folder and not osp.isdir(folder):
            raise FileNotFoundError(f'there is no folder {folder} of the videos '
                                    "(data_root and data_prefix['video'])")

    def _copy_without_annotation(self, memo: dict | None = None) -> BaseDataset:
        # mmengine's memo is one for the whole process: a later subset got as its pipeline, or any
        # other attribute, a dataset that had been where this now lies in memory.
        return super()._copy_without_annotation({} if memo is None else memo)

    def __getitem__(self, idx: int) -> dict | list[dict]:
        """Return the idx-th sample, or in training one in its place.

        With ``clips_per_video`` above 1 it is the list of its clips.
        """
        if not self._fully_initialized:
            self.full_init()
        if self.test_mode:
            return self._prepare(idx, np.random.default_rng(idx), [])
        rng = self._training_rng(idx)
        skipped: list[dict] = []
        while len(skipped) <= self.max_refetch:
            try:
                # What a failing sample draws does not change which one comes in its place.
                return self._prepare(idx, rng.spawn(1)[0], skipped)
            except SampleError as error:
                if self._quarantine is not None:
                    self._quarantine.note(error)
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

    def _prepare(self, idx: int, rng: np.random.Generator,
                 skipped: list[dict]) -> dict | list[dict]:
        results = self.get_data_info(idx)
        if self._quarantine is not None:
            self._quarantine.check(results['filename'])
        results.update(rng=rng, skipped=skipped)
        clips = run_transforms(
            self.pipeline.transforms, self._draw(results, self.clips_per_video))
        return clips if self.clips_per_video > 1 else clips[0]

    def _draw(self, results: dict, num_clips: int) -> list[dict]:
        """What the pipeline gets for each clip; a subclass may draw from the annotation."""
        return [dict(results) for _ in range(num_clips)]

    def _video(self, path: str, sample_id: str | None = None) -> dict:
        """Keys that every sample has."""
        return dict(
            filename=osp.join(self.data_prefix['video'], path), sample_id=sample_id or path)
