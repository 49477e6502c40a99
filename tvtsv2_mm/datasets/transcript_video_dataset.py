"""Videos and what is said in them when."""

from tvtsv2_mm.datasets.json_lines_video_dataset import JsonLinesVideoDataset
from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class TranscriptVideoDataset(JsonLinesVideoDataset):
    """Narrated videos (YT-Temporal and the like), from the transcript format.

    Adds to the pipeline's keys: duration (seconds), and words or segments, lists of
    ``[text, start, end]``. Arguments are those of JsonLinesVideoDataset.
    """

    kind = 'transcripts'
