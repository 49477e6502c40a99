"""Videos with captions."""

import numpy as np

from tvtsv2_mm.datasets.json_lines_video_dataset import JsonLinesVideoDataset
from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class CaptionVideoDataset(JsonLinesVideoDataset):
    """Captioned videos (WebVid, retrieval benchmarks, multiple choice), from the caption format.

    Adds to the pipeline's keys: captions, start and end (seconds, where the captions mean a part of
    the video). In training there is one caption, drawn anew each time, or the right one where the
    record has an ``answer``. In test mode there are all, so that a video with many captions is
    decoded and encoded once, and gt_label (the ``answer``, if any). Arguments are those of
    JsonLinesVideoDataset.
    """

    kind = 'captions'

    def _draw(self, results: dict, num_clips: int) -> list[dict]:
        return [results] if self.test_mode else draw_captions(results, num_clips)


def draw_captions(results: dict, num_clips: int = 1) -> list[dict]:
    """Leave one caption for each clip: the right one where there is an answer, else drawn by
    ``rng``, each once before one comes again.
    """
    captions, answer = results['captions'], results.pop('gt_label', None)
    if answer is not None:
        drawn = [answer] * num_clips
    else:
        rounds = -(-num_clips // len(captions))
        drawn = np.concatenate([results['rng'].permutation(len(captions)) for _ in range(rounds)])
    return [results | dict(captions=[captions[i]]) for i in drawn[:num_clips]]
