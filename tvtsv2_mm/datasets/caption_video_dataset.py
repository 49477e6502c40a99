"""Videos with captions."""

from tvtsv2_mm.datasets.annotations import load_captions
from tvtsv2_mm.datasets.video_text_dataset import VideoTextDataset
from tvtsv2_mm.registry import DATASETS


@DATASETS.register_module()
class CaptionVideoDataset(VideoTextDataset):
    """Captioned videos (WebVid, retrieval benchmarks, multiple choice), from the caption format.

    Adds to the pipeline's keys: captions (in training one of them, drawn anew each time; in test
    mode all, so that a video with many captions is decoded and encoded once), start and end
    (seconds, where the captions mean a part of the video), gt_label (where the record has an
    ``answer``). Arguments are those of VideoTextDataset.
    """

    def load_data_list(self) -> list[dict]:
        """Read the annotation file."""
        data_list = []
        for record in load_captions(self.ann_file):
            info = self._video(record['path'], record.get('id'))
            info |= {key: record[key] for key in ('captions', 'start', 'end') if key in record}
            if 'answer' in record:
                info['gt_label'] = record['answer']
            data_list.append(info)
        return data_list

    def _draw(self, results: dict) -> dict:
        if not self.test_mode:
            captions = results['captions']
            results['captions'] = [captions[results['rng'].integers(len(captions))]]
        return results
