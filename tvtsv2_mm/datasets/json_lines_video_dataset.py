"""What the data sets of the two annotation formats share: their records stay in the file."""

from abc import abstractmethod
from typing import Any

from tvtsv2_mm.datasets.annotations import Check, find_records, read_record
from tvtsv2_mm.datasets.video_text_dataset import VideoTextDataset


class JsonLinesVideoDataset(VideoTextDataset):
    """Base of the data sets whose annotation file has a JSON object a line.

    Only the place of each line is kept in memory; a record is read from the file with its sample.

    Args:
        ann_file: annotation file.
        check_all: check every line when the data set is built; a file of many GB that was checked
            before can do without, then each line is checked when it is read.
        kwargs: the other arguments of VideoTextDataset.
    """

    def __init__(self, ann_file: str, *, check_all: bool = True, **kwargs: Any) -> None:
        self.check_all = check_all
        super().__init__(ann_file, **kwargs)

    @property
    @abstractmethod
    def check(self) -> Check:
        """Checks a record."""

    @abstractmethod
    def sample_of(self, record: dict) -> dict:
        """Keys of the pipeline that come from a record."""

    def load_data_list(self) -> list[dict]:
        """Find the lines of the annotation file."""
        offsets = find_records(self.ann_file, self.check if self.check_all else None)
        return [dict(offset=offset) for offset in offsets]

    def get_data_info(self, idx: int) -> dict:
        """Read the record of the idx-th sample."""
        info = super().get_data_info(idx)
        record = read_record(self.ann_file, info['offset'], self.check)
        return self.sample_of(record) | dict(sample_idx=info['sample_idx'])
