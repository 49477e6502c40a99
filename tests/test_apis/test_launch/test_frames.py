import pytest
from mmengine.config import Config

from tests.test_tools.protocol_data import CONFIGS
from tvtsv2_mm.apis.launch.frames import show_frames
from tvtsv2_mm.evaluation.results import describe_views

PROTOCOLS = sorted(path.name for path in CONFIGS.glob('*.py')
                   if Config.fromfile(path).get('test_dataloader') is not None)


@pytest.mark.parametrize('name', PROTOCOLS)
def test_every_protocol_takes_it(name):
    """By our sampling transform, or behind MMAction2's; in the test alone."""
    cfg = Config.fromfile(CONFIGS / name)
    others = [cfg.get(loader) and cfg[loader].to_dict()
              for loader in ('train_dataloader', 'val_dataloader')]
    pipeline = cfg.test_dataloader.dataset.pipeline
    for frames in ('shuffled', 'reversed', 'natural'):
        show_frames(cfg, frames)
        views = describe_views(cfg.test_dataloader.dataset.pipeline)
        assert views['frames_shown'] == frames
        assert views['frames_seed'] == (0 if frames == 'shuffled' else None)
    assert len(cfg.test_dataloader.dataset.pipeline) <= len(pipeline) + 1
    assert others == [cfg.get(loader) and cfg[loader].to_dict()
                      for loader in ('train_dataloader', 'val_dataloader')]
    show_frames(cfg, None)
    assert describe_views(cfg.test_dataloader.dataset.pipeline) == views


def test_a_query_bank_is_shown_its_videos_so_too():
    cfg = Config.fromfile(CONFIGS / 'vit-b16_retrieval_msrvtt.py')
    cfg.custom_hooks[0].video_dataloader = dict(cfg.test_dataloader)
    show_frames(cfg, 'single')
    bank = cfg.custom_hooks[0].video_dataloader.dataset.pipeline
    assert describe_views(bank)['frames_shown'] == 'single'


def test_without_a_sampler():
    steps = [dict(type='OpenVideo'), dict(type='DecodeClip')]
    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=steps))))
    with pytest.raises(ValueError, match=r'--frames single: no step .* needs SampleClipFrames'):
        show_frames(cfg, 'single')
