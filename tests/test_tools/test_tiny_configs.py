import json

import numpy as np
import torch
import torch.nn.functional as F

from tests.tiny_model import CONFIG, build_tiny_model, embed_clips, save_tiny_checkpoint
from tvtsv2_mm.datasets.frame_indices import clip_frames
from tvtsv2_mm.experiments.quickstart import protocols
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.utils.tokenizer import ClipTokenizer
from tvtsv2_mm.video.opening import open_video


def test_before_and_after_is_the_nearer_caption(tmp_path):
    build_narrated_shapes(tmp_path / 'shapes', NarratedShapesOptions(
        transcript_videos=(0, 0), clip_rounds=(0, 0), order_clips=(0, 12)))
    cfg = protocols.load_config(CONFIG.with_name('tiny_multiple-choice.py'),
                                data_root=tmp_path / 'shapes', seed=0)
    checkpoint = save_tiny_checkpoint(tmp_path / 'tiny.pth')
    (tmp_path / 'work').mkdir()
    metrics = protocols.evaluate(cfg, tmp_path / 'work', str(checkpoint))['metrics']

    model, tokenize, right = build_tiny_model(), ClipTokenizer(context_length=32), []
    for line in (tmp_path / 'shapes/annotations/orders_test.jsonl').open(encoding='utf-8'):
        entry = json.loads(line)
        reader = open_video(str(tmp_path / 'shapes/videos' / entry['path']))
        clip = reader.get_frames(clip_frames(0, reader.num_frames, 8, 1)[0])
        [video] = embed_clips(model, [clip])
        with torch.no_grad():
            texts = model.neck(tokenize(entry['captions']))
        right.append((F.normalize(texts, dim=-1).numpy() @ video).argmax() == entry['answer'])
    assert metrics == {'multiple_choice/top1': round(100 * float(np.mean(right)), 4)}
    assert 0 < sum(right) < len(right)
