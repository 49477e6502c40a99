import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.tiny_model import CONFIG, build_tiny_model, embed_clips, save_tiny_checkpoint
from tvtsv2_mm.checkpoints.convert_checkpoint import inspect_checkpoint
from tvtsv2_mm.datasets.frame_indices import clip_frames
from tvtsv2_mm.experiments import protocols
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


@pytest.mark.parametrize('name', ['tiny_siglip_pretrain', 'tiny_pe_pretrain'])
def test_pre_training_on_other_bases(tmp_path, name):
    """It goes through, and what it writes tells its model."""
    build_narrated_shapes(tmp_path / 'shapes', NarratedShapesOptions(
        transcript_videos=(4, 2), clip_rounds=(1, 1), order_clips=(0, 0)))
    cfg = protocols.load_config(
        CONFIG.with_name(f'{name}.py'), data_root=tmp_path / 'shapes', seed=0)
    cfg.merge_from_dict(dict(
        train_dataloader=dict(batch_size=2), train_cfg=dict(max_epochs=1, val_interval=1),
        val_dataloader=dict(batch_size=2), default_hooks=dict(checkpoint=dict(interval=1))))
    for dataset in cfg.train_dataloader.dataset.datasets:
        dataset.times = 1
    protocols.train(cfg, tmp_path / 'work')
    [path] = (tmp_path / 'work').rglob('epoch_1.pth')
    found = inspect_checkpoint(path).config
    for part in ('backbone', 'neck'):
        told = {key: value for key, value in cfg.model[part].items()
                if key not in ('time_init', 'temporal_std')}
        assert told.items() <= found[part].items()
    assert found['data_preprocessor']['mean'] == (127.5, ) * 3
    assert found.get('contrastive_head', {}).get('type') == (
        'VideoTextSigmoidHead' if 'siglip' in name else None)
