"""Videos with a class."""

from tvtsv2_mm.datasets.annotations import load_labels
from tvtsv2_mm.datasets.video_text_dataset import VideoTextDataset
from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class LabeledVideoDataset(VideoTextDataset):
    """Videos of classes (recognition, linear probe), from MMAction2's list ``path label``.

    Adds to the pipeline's keys: label; and what transforms of MMAction2 ask for (start_index,
    modality), so that their pipelines go as well, with names that have blanks in them, which its
    VideoDataset cannot read. Arguments are those of VideoTextDataset.
    """

    def load_data_list(self) -> list[dict]:
        """Read the annotation file."""
        return [
            self._video(path) | dict(label=label, start_index=0, modality='RGB')
            for path, label in load_labels(self.ann_file)
        ]
