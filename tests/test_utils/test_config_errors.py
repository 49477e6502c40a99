import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from tvtsv2_mm.datasets import LabeledVideoDataset, TranscriptVideoDataset
from tvtsv2_mm.models.losses import global_contrastive_loss
from tvtsv2_mm.registry import HOOKS, MODELS, TRANSFORMS
from tvtsv2_mm.utils.config_errors import ConfigError, config_errors, options_of


class Builder:
    """Has the whole config, as a Runner does."""

    def __init__(self, **parts):
        self.cfg = Config(parts)

    def build(self, registry, *path):
        with config_errors(), registry.switch_scope_and_registry('tvtsv2_mm') as own:
            part = self.cfg
            for key in path:
                part = part[key]
            return own.build(part.copy() if isinstance(part, dict) else part)


@pytest.mark.parametrize(('hook', 'message'), [
    (dict(type='EMAHok'), r'custom_hooks\.1\.type: there is no EMAHok; did you mean EMAHook'),
    (dict(type='SkippedSampleHook', max_shar=1),
     r'custom_hooks\.1\.max_shar: SkippedSampleHook has no max_shar; did you mean max_share\?'),
    (dict(type='SkippedSampleHook', max_share=2),
     r'custom_hooks\.1 \(SkippedSampleHook\): max_share must be in \[0, 1\]'),
    (dict(type='SkippedSampleHook', max_share='x'),
     r'custom_hooks\.1 \(SkippedSampleHook\): .*str'),
])
def test_the_key_is_named(hook, message):
    builder = Builder(custom_hooks=[dict(type='ResumeDataHook'), hook])
    with pytest.raises(ConfigError, match=message):
        builder.build(HOOKS, 'custom_hooks', 1)


def test_a_part_within_a_part():
    backbone = dict(type='SpaceTimeViT', image_size=32, patch_size=16, width=64, layers=1, heads=3,
                    embed_dim=32, num_frames=2)
    builder = Builder(model=dict(type='VideoTextModel', backbone=backbone))
    with pytest.raises(ConfigError, match=r'^model\.backbone \(SpaceTimeViT\): .*heads \(3\)'):
        builder.build(MODELS, 'model')
    del builder.cfg.model.backbone['type']
    with pytest.raises(ConfigError, match=r'^model\.backbone'):
        builder.build(MODELS, 'model')


@pytest.mark.parametrize(('part', 'message'), [
    (dict(type='VideoTextModel'), r"model: VideoTextModel needs 'backbone'"),
    (dict(type='VideoTextModel', backbone=3), r'model\.backbone: a dict with a type .* not 3')])
def test_what_is_missing_or_of_another_kind(part, message):
    with pytest.raises(ConfigError, match=message):
        Builder(model=part).build(MODELS, 'model')


def test_a_data_loader():
    cfg = Config(dict(train_dataloader=dict(
        batch_sise=2, sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(type='ConcatDataset', datasets=[]))))
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=1, dataset=None)
    with pytest.raises(ConfigError, match=r'batch_sise.* mean batch_size'), config_errors():
        Runner.build_dataloader(dict(dataset=[1, 2], batch_sise=2, sampler=dict(
            type='DefaultSampler', shuffle=True)), seed=0)


@pytest.mark.parametrize(('clip_grad', 'message'), [
    (dict(max_norm='a'), r"^optim_wrapper\.clip_grad: ValueError: .*'a'"),
    (dict(max_norm=1, norm_typ=2), r'^optim_wrapper\.clip_grad: TypeError: .*norm_typ')])
def test_what_a_training_step_reads_first(clip_grad, message):
    model = torch.nn.Linear(1, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1), clip_grad=clip_grad)
    with pytest.raises(ConfigError, match=message), config_errors():
        wrapper.update_params(model(torch.ones(1)).sum())
    wrapper = OptimWrapper(wrapper.optimizer, clip_grad=dict(max_norm=1, error_if_nonfinite=True))
    with pytest.raises(RuntimeError, match='non-finite'), config_errors():
        wrapper.update_params(model(torch.full((1, ), torch.nan)).sum())


def test_errors_that_are_not_of_a_config_stay():
    def broken():
        raise TypeError('a bug')

    with pytest.raises(TypeError, match='a bug') as error, config_errors():
        broken()
    assert not isinstance(error.value, ConfigError)
    with pytest.raises(FileNotFoundError), config_errors(), TRANSFORMS.switch_scope_and_registry(
            'tvtsv2_mm'):
        open('nowhere')  # noqa: SIM115


@pytest.mark.parametrize(('wrong', 'message'), [
    (dict(randomness=dict(sed=1)), "^randomness: .*unexpected keyword argument 'sed'"),
    (dict(val_cfg=dict()), '^val_dataloader, val_cfg, and val_evaluator should be .* not None$'),
])
def test_what_the_runner_itself_refuses(tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message), config_errors():
        Runner(torch.nn.Linear(1, 1), str(tmp_path), **wrong)


def test_what_this_package_refuses_on_purpose_is_told_at_any_time():
    rows = torch.eye(2)
    with pytest.raises(ConfigError, match=r"^gradient must be 'exact'"), config_errors():
        global_contrastive_loss(rows, rows, 1.0, 'exakt')
    with pytest.raises(RuntimeError) as error, config_errors():  # made by torch, in our function
        global_contrastive_loss(rows, rows[:, :1], 1.0)
    assert not isinstance(error.value, ConfigError)


def test_what_a_data_loaders_process_refuses_is_told(tmp_path):
    file = tmp_path / 'test.txt'
    file.write_text('nowhere.mp4 1\n')
    videos = LabeledVideoDataset(ann_file=str(file), test_mode=True,
                                 pipeline=[TRANSFORMS.get('OpenVideo')()])
    for workers in (0, 1):
        with pytest.raises(ConfigError, match=r'^nowhere\.mp4: there is no such file$'), \
                config_errors():
            next(iter(DataLoader(videos, num_workers=workers, collate_fn=list)))
    with pytest.raises(TypeError), config_errors():  # not on purpose
        next(iter(DataLoader([1], num_workers=1, collate_fn=len(videos))))


def test_one_line_of_many():
    backbone = dict(type='SpaceTimeViT', image_size=32, patch_size=16, width=64, layers=1, heads=2,
                    embed_dim=32, num_frames=[1, 2])
    with pytest.raises(ConfigError) as error:
        Builder(model=backbone).build(MODELS, 'model')
    assert len(str(error.value).splitlines()) == 1


def test_options_go_on_to_the_classes_that_take_them():
    options = options_of(TranscriptVideoDataset)
    assert options.closed and {'held_out_by', 'quarantine', 'indices'} <= options
    ema = options_of(MMENGINE_HOOKS.get('EMAHook'))
    assert not ema.closed and 'begin_iter' in ema
