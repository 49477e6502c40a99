"""Videos and what is said in them when."""

from tvtsv2_mm.datasets.annotations import Check, check_transcript
from tvtsv2_mm.datasets.json_lines_video_dataset import JsonLinesVideoDataset
from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class TranscriptVideoDataset(JsonLinesVideoDataset):
    """Narrated videos (YT-Temporal and the like), from the transcript format.

    Adds to the pipeline's keys: duration (seconds), and words or segments, lists of
    ``[text, start, end]``. Arguments are those of JsonLinesVideoDataset.
    """

    @property
    def check(self) -> Check:
        """Checks a record."""
        return check_transcript

    def sample_of(self, record: dict) -> dict:
        """Keys of the pipeline that come from a record."""
        return self._video(record['path'], record.get('id')) | transcript_keys(record)


def transcript_keys(record: dict) -> dict:
    """Keys of the pipeline that a record of a transcript has, wherever its video is."""
    return {key: record[key] for key in ('duration', 'words', 'segments') if key in record}
