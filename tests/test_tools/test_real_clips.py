"""Pre-training and evaluation on real clips, through an ordinary config with a small model."""

import json
import math
from pathlib import Path

import pytest
from mmengine.logging import MessageHub

DATA = Path(__file__).parents[1] / 'data' / 'videos'
CONFIG = Path(__file__).parents[2] / 'configs' / 'tvtsv2' / 'vit-b32_pretrain.py'
SPOKEN = [['set', 0.49, 0.77], ['white', 0.77, 1.09], ['with', 1.09, 1.22], ['p', 1.22, 1.44],
          ['two', 1.44, 1.73], ['soon', 1.73, 2.21]]
CAPTIONS = {'part_0.mp4': ['people in a room'], 'example.mp4': ['a drawing', 'colours'],
            'grid_swwp2s.mpg': ['a man speaks']}
SMALL = [f'model.{part}.{key}={value}' for part, sizes in {
    'backbone': dict(width=64, layers=2, heads=2, embed_dim=32),
    'neck': dict(width=64, layers=2, heads=2, embed_dim=32, frozen_layers=1),
    'sorting_head': dict(num_transcripts=2, embed_dim=32, heads=2),
}.items() for key, value in sizes.items()]


@pytest.fixture
def options(tmp_path):
    (tmp_path / 'spoken.jsonl').write_text(json.dumps(
        {'path': 'grid_swwp2s.mpg', 'duration': 2.98, 'words': SPOKEN}) + '\n')
    (tmp_path / 'captions.jsonl').write_text('\n'.join(
        json.dumps({'path': path, 'captions': texts}) for path, texts in CAPTIONS.items()))
    train, segments = 'train_dataloader.dataset.datasets', 'pipeline.0'
    return [
        *SMALL, 'load_from=None',
        f'{train}.0.ann_file=spoken.jsonl', f'{train}.0.data_prefix.video={DATA}',
        f'{train}.0.{segments}.num_segments=2', f'{train}.0.{segments}.segment_seconds=(1,1)',
        f'{train}.0.{segments}.gap_seconds=0',
        f'{train}.1.ann_file=captions.jsonl', f'{train}.1.data_prefix.video={DATA}',
        'train_dataloader.batch_size=1', 'default_hooks.logger.interval=1',
        *(f'{loader}.dataset.{key}' for loader in ('val_dataloader', 'test_dataloader')
          for key in ('ann_file=captions.jsonl', f'data_prefix.video={DATA}')),
        *(f'{loader}.{key}' for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader')
          for key in ('num_workers=0', 'persistent_workers=False')),
    ]


def test_pretrain_and_evaluate(run, options, tmp_path):
    runner = run('train', CONFIG, '--work-dir', 'out', '--cfg-options', 'train_cfg.max_epochs=1',
                 'default_hooks.checkpoint.interval=1',
                 'visualizer.vis_backends.0.type=TensorboardVisBackend', *options)
    assert list(tmp_path.glob('out/*/vis_data/events.out.tfevents.*'))
    # One batch with transcripts, one with a caption.
    assert runner.iter == 2
    history = MessageHub.get_current_instance()
    for name in ('loss_contrastive', 'loss_sorting'):
        assert math.isfinite(history.get_scalar(f'train/{name}').current())

    run('test', CONFIG, tmp_path / 'out' / 'epoch_1.pth', '--work-dir', 'tested', '--cfg-options',
        *options)
    metrics = json.loads(next(tmp_path.glob('tested/*/*.json')).read_text())
    # 4 captions of 3 videos: ranks 1 to 3, and of the best own caption among 4.
    assert 't2v/R5' not in metrics and 'v2t/R5' not in metrics  # they could not fail
    assert 1 <= metrics['t2v/MnR'] <= 3


def test_a_missing_video_stops_evaluation(run, options, tmp_path):
    (tmp_path / 'captions.jsonl').write_text(
        json.dumps({'path': 'nowhere.mp4', 'captions': ['nothing']}))
    with pytest.raises(SystemExit, match=r'error: .*nowhere\.mp4'):
        run('train', CONFIG, '--cfg-options', *options)


@pytest.fixture
def broken_captions(options, tmp_path):
    """One of four captioned videos cannot be read; three epochs see it about three times."""
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    (tmp_path / 'whole.jsonl').write_text((tmp_path / 'captions.jsonl').read_text())
    with (tmp_path / 'captions.jsonl').open('a') as file:
        file.write('\n' + json.dumps(
            {'path': str(tmp_path / 'broken.mp4'), 'captions': ['nothing']}))
    (tmp_path / 'spoken.jsonl').write_text(4 * (json.dumps(
        {'path': 'grid_swwp2s.mpg', 'duration': 2.98, 'words': SPOKEN}) + '\n'))
    return [*options, 'train_cfg.max_epochs=2', 'val_dataloader.dataset.ann_file=whole.jsonl',
            'custom_hooks.0.min_samples=8']


def test_a_corrupt_video_is_skipped_and_reported(run, broken_captions, tmp_path):
    run('train', CONFIG, '--work-dir', 'out', '--cfg-options', *broken_captions,
        'custom_hooks.0.max_share=0.9')
    log = next(tmp_path.glob('out/*/*.log')).read_text()
    assert log.count('broken.mp4') >= 2


def test_too_many_corrupt_videos_stop_the_run(run, broken_captions):
    with pytest.raises(SystemExit, match=r'error: training stops: .* cannot be used'):
        run('train', CONFIG, '--cfg-options', *broken_captions,
            'custom_hooks.0.max_share=0.01')
