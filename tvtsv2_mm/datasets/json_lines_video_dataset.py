"""What the data sets of the two annotation formats share: their records stay in the file."""

import logging
import os.path as osp
from collections import Counter
from typing import Any, ClassVar

import numpy as np
from mmengine.logging import print_log

from tvtsv2_mm.datasets.annotations import (
    CHECKS,
    AnnotationError,
    Check,
    find_records,
    read_record,
    read_records,
    sample_keys,
)
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.held_out import held_out_below, place_of
from tvtsv2_mm.datasets.transforms.transcript_segments import SampleTranscriptSegments
from tvtsv2_mm.datasets.video_text_dataset import VideoTextDataset
from tvtsv2_mm.video.errors import cause_of

# Figures of fewer videos say little.
_FEW_HELD_OUT = 20


class JsonLinesVideoDataset(VideoTextDataset):
    """Base of the data sets whose annotation file has a JSON object a line.

    Only the place of each line is kept in memory; a record is read from the file with its sample.
    A subclass says its ``kind``, one of :data:`~tvtsv2_mm.datasets.annotations.CHECKS`.

    Args:
        ann_file: annotation file.
        check_all: check every line when the data set is built; a file of many GB that was checked
            before can do without, then each line is checked when it is read.
        held_out_by: annotation file, below ``data_root``, whose videos say by their names which of
            this file's are held out: in test mode those are the data set, in training the others.
            Records that the pipeline's SampleTranscriptSegments cannot use are then left out and
            told. None takes the whole file.
        held_out_share: share of the videos to hold out, see
            :func:`~tvtsv2_mm.datasets.held_out.held_out_below`.
        kwargs: the other arguments of VideoTextDataset.
    """

    kind: ClassVar[str]

    def __init__(self, ann_file: str, *, check_all: bool = True,
                 held_out_by: str | None = None, held_out_share: float = 0.1,
                 **kwargs: Any) -> None:
        self.check_all = check_all
        self.held_out_by = held_out_by
        self.held_out_share = held_out_share
        super().__init__(ann_file, **kwargs)

    @property
    def check(self) -> Check:
        """Checks a record."""
        return CHECKS[self.kind]

    def sample_of(self, record: dict) -> dict:
        """Keys of the pipeline that come from a record.

        Parts of one video are samples of their own, named as in URLs: ``a.mp4#t=2.0,7.5``.
        """
        part = ','.join(str(record.get(key, '')) for key in ('start', 'end')).rstrip(',')
        name = record.get('id') or record['path'] + (part and f'#t={part}')
        return self._video(record['path'], name) | sample_keys(record, self.kind)

    def load_data_list(self) -> list[dict]:
        """Find the lines of the annotation file."""
        if self.held_out_by is not None:
            offsets = self._part_of_file(osp.join(self.data_root, self.held_out_by))
        else:
            offsets = find_records(self.ann_file, self.check if self.check_all else None)
        return [dict(offset=offset) for offset in offsets]

    def _part_of_file(self, file: str) -> list[int]:
        """Where the records of the held-out videos begin, or in training those of the others."""
        # Whether the rest of a line of that file fits is for who loads it.
        paths = (str(record.get('path')) for _, record in read_records(file, lambda record: None))
        try:
            below = held_out_below(paths, self.held_out_share)
        except ValueError as error:
            raise AnnotationError(f'{file}: {error}') from None
        offsets: list[int] = []
        unusable: Counter[str] = Counter()
        for offset, record in read_records(self.ann_file, self.check):
            if (place_of(record['path']) < below) is not self.test_mode:
                continue
            reason = self._why_unusable(record, len(offsets))
            if reason is None:
                offsets.append(offset)
            else:
                unusable[reason] += 1
        part = 'held-out videos' if self.test_mode else 'videos to train on'
        told = f'{self.ann_file}: {len(offsets)} {part}'
        told += ''.join(f'\n  {count} left out: {reason}'
                        for reason, count in unusable.most_common())
        if not offsets:
            raise AnnotationError(
                f'{told}; more videos are needed, or another held_out_share than '
                f'{self.held_out_share:g}')
        few = self.test_mode and len(offsets) < _FEW_HELD_OUT
        if few:
            told += ('\n  figures of so few videos say little; --cfg-options held_out_share=0.3 '
                     'holds out more')
        print_log(told, logger='current', level=logging.WARNING if few or unusable else
                  logging.INFO)
        return offsets

    def _why_unusable(self, record: dict, idx: int) -> str | None:
        """Why the draw of segments fails for the record that becomes the idx-th sample."""
        first = self.pipeline.transforms[0] if self.pipeline.transforms else None
        if not isinstance(first, SampleTranscriptSegments):
            return None
        try:
            # As in test mode, so that evaluation meets no sample that it cannot use.
            first.transform(self.sample_of(record) | dict(rng=np.random.default_rng(idx)))
        except UnusableSampleError as error:
            return cause_of(error.reason)
        return None

    def get_data_info(self, idx: int) -> dict:
        """Read the record of the idx-th sample."""
        info = super().get_data_info(idx)
        record = read_record(self.ann_file, info['offset'], self.check)
        return self.sample_of(record) | dict(sample_idx=info['sample_idx'])
