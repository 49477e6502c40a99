"""Videos and what is said in them when."""

from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.datasets.video_text_dataset import VideoTextDataset
from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class TranscriptVideoDataset(VideoTextDataset):
    """Narrated videos (YT-Temporal and the like), from the transcript format.

    Adds to the pipeline's keys: duration (seconds), and words or segments, lists of
    ``[text, start, end]``. Arguments are those of VideoTextDataset.
    """

    def load_data_list(self) -> list[dict]:
        """Read the annotation file."""
        return [
            self._video(record['path'], record.get('id'))
            | {key: record[key] for key in ('duration', 'words', 'segments') if key in record}
            for record in load_transcripts(self.ann_file)
        ]
