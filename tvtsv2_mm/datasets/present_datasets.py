"""Data sets that are joined where they are there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import ConcatDataset

from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class PresentDatasets(ConcatDataset):
    """``ConcatDataset`` that leaves out those whose annotation file is not there.

    For own data: transcripts, and captions where somebody wrote some.

    Args:
        datasets: configs of data sets; the first has to be there.
        kwargs: other arguments of mmengine's ConcatDataset.
    """

    def __init__(self, datasets: Sequence[dict], **kwargs: Any) -> None:
        first, *others = datasets
        present = [first, *(
            other for other in others
            if Path(other.get('data_root') or '', other['ann_file']).is_file())]
        super().__init__([DATASETS.build(dataset) for dataset in present], **kwargs)
