"""Videos with a class."""

from tvtsv2_mm.datasets.annotations import load_labels
from tvtsv2_mm.datasets.video_text_dataset import VideoTextDataset
from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class LabeledVideoDataset(VideoTextDataset):
    """Videos of classes (recognition, linear probe), from MMAction2's list ``path label``.

    Adds to the pipeline's keys: label. Arguments are those of VideoTextDataset.
    """

    def load_data_list(self) -> list[dict]:
        """Read the annotation file."""
        return [
            self._video(path) | dict(label=label) for path, label in load_labels(self.ann_file)
        ]
