import argparse
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.launch import runs
from tvtsv2_mm.apis.launch.arguments import add_launch_arguments
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.registry import MODELS


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(runs, 'get_device', lambda: 'cpu')


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(runs, 'get_device', lambda: 'cuda')


def arguments(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_launch_arguments(parser)
    return parser.parse_args(['configs/some.py', *words])


class TestLoadConfig:
    def test_a_wrong_path_names_its_neighbours(self, tmp_path):
        (tmp_path / 'tiny_pretrain.py').write_text('a = 1')
        with pytest.raises(FileNotFoundError, match=r'tiny_pretrian\.py.*tiny_pretrain\.py'):
            runs.load_config(str(tmp_path / 'tiny_pretrian.py'))

    def test_a_folder_that_does_not_exist(self):
        with pytest.raises(FileNotFoundError, match='there is no config no/where'):
            runs.load_config('no/where.py')

    @pytest.mark.parametrize('name', ['weights.pth', 'data.json', 'data.yml'])
    def test_a_file_of_another_kind(self, tmp_path, name):
        (tmp_path / name).write_text('{"custom_imports": {"imports": ["no_such_module"]}}')
        with pytest.raises(ValueError, match=r'ends in \.py'):
            runs.load_config(str(tmp_path / name))
        with pytest.raises(ValueError, match=r'ends in \.py'):
            TVTSv2Inferencer(tmp_path / name, 'x.pth')

    @pytest.mark.parametrize(('text', 'error', 'message'), [
        ("_base_ = 'nowhere/base.py'", FileNotFoundError,
         r'some\.py is based on .*nowhere/base\.py'),
        ("_base_ = './tiny_pretrian.py'", FileNotFoundError, r'some\.py.*tiny_pretrain\.py\)'),
        ("_base_ = 'tvtsv2_mm::tvtsv2/vit-b16_pretrian.py'", FileNotFoundError,
         r'vit-b16_pretrian\.py, which does not exist .*vit-b16_pretrain\.py'),
        ('model = dict(', ValueError,
         r'some\.py cannot be read as a config: SyntaxError: .*line 1'),
        ('a = foo', ValueError, r'some\.py cannot be read as a config: NameError: .*foo'),
        ("_base_ = './tiny_pretrain.py'\na = dict(b=1)", ValueError,
         'TypeError: a=.*cannot inherit'),
        ("_base_ = ['./tiny_pretrain.py', './other.py']", ValueError, 'Duplicate key'),
    ])
    def test_what_is_wrong_in_a_config_is_told_in_one_line(self, tmp_path, text, error, message):
        for name in ('tiny_pretrain.py', 'other.py'):
            (tmp_path / name).write_text('a = 1')
        (tmp_path / 'some.py').write_text(text)
        with pytest.raises(error, match=message) as told:
            runs.load_config(str(tmp_path / 'some.py'))
        assert len(str(told.value).splitlines()) == 1

    def test_a_config_of_the_package_is_named_from_another_folder(self):
        with pytest.raises(FileNotFoundError, match=r'in .*configs/tvtsv2: vit-b16_pretrain\.py'):
            runs.load_config('vit-b16_pretrian.py')

    def test_a_config(self, tmp_path):
        (tmp_path / 'some.py').write_text('a = 1')
        assert runs.load_config(str(tmp_path / 'some.py')).a == 1


def test_check_file(tmp_path):
    (tmp_path / 'x.pth').write_text('')
    assert runs.check_file(f'{tmp_path}/x.pth', 'checkpoint') == f'{tmp_path}/x.pth'
    assert runs.check_file(str(tmp_path), 'checkpoint') == str(tmp_path)
    assert runs.check_file('s3://bucket/x.pth', 'checkpoint') == 's3://bucket/x.pth'
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint y\.pth'):
        runs.check_file('y.pth', 'checkpoint')


class TestApplyLaunchArguments:
    @pytest.mark.parametrize(('config', 'words', 'expected'), [
        ({}, [], 'work_dirs/some'),
        ({'work_dir': 'of_config'}, [], 'of_config'),
        ({'work_dir': 'of_config'}, ['--work-dir', 'of_user'], 'of_user'),
        ({}, ['--work-dir', 'of_user', '--cfg-options', 'work_dir=of_option'], 'of_option'),
    ])
    def test_work_dir(self, config, words, expected):
        cfg = Config(config)
        runs.apply_launch_arguments(cfg, arguments(*words))
        assert cfg.work_dir == expected

    def test_options_reach_nested_keys(self):
        cfg = Config(dict(optim_wrapper=dict(optimizer=dict(lr=1.0)), sizes=None))
        runs.apply_launch_arguments(cfg, arguments(
            '--cfg-options', 'optim_wrapper.optimizer.lr=0.5', 'sizes="[(1,2),(3,4)]"'))
        assert cfg.optim_wrapper.optimizer.lr == 0.5
        assert cfg.sizes == [(1, 2), (3, 4)]

    @pytest.mark.parametrize(('given', 'options'), [
        (True, {}), (dict(mode='max-autotune'), dict(mode='max-autotune')), (False, None),
        (None, None)])
    def test_compile_means_blocks(self, given, options):
        cfg = Config(dict(compile=given, custom_hooks=[dict(type='A')]))
        runs.apply_launch_arguments(cfg, arguments())
        hooks = [] if options is None else [dict(options, type='tvtsv2_mm.CompileBlocksHook')]
        assert cfg.custom_hooks == [dict(type='A'), *hooks]
        assert 'compile' not in cfg

    def test_compile_from_the_command_line(self):
        cfg = Config(dict(a=1))
        runs.apply_launch_arguments(cfg, arguments('--cfg-options', 'compile=True'))
        assert cfg.custom_hooks == [dict(type='tvtsv2_mm.CompileBlocksHook')]
        with pytest.raises(ValueError, match='compile must be True'):
            runs.apply_launch_arguments(cfg, arguments('--cfg-options', 'compile=blocks'))

    def test_processes_on_a_cpu(self, on_cpu):
        cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=5)),
                          find_unused_parameters=True))
        runs.apply_launch_arguments(cfg, arguments('--launcher', 'pytorch'))
        assert cfg.env_cfg.dist_cfg == dict(backend='gloo', timeout=5)
        assert cfg.model_wrapper_cfg == dict(type='MMDistributedDataParallel', device_ids=None,
                                             broadcast_buffers=False, find_unused_parameters=True)

    def test_processes_on_a_cpu_keep_what_the_config_says(self, on_cpu):
        cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='mpi')),
                          model_wrapper_cfg=dict(static_graph=True)))
        runs.apply_launch_arguments(cfg, arguments('--launcher', 'pytorch'))
        assert cfg.env_cfg.dist_cfg.backend == 'mpi'
        assert cfg.model_wrapper_cfg == dict(static_graph=True, device_ids=None)

    def test_a_strategy_on_a_cpu(self, on_cpu):
        cfg = Config(dict(runner_type='FlexibleRunner'))
        runs.apply_launch_arguments(cfg, arguments('--launcher', 'pytorch'))
        assert cfg.strategy == dict(type='DDPStrategy', model_wrapper=dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False,
            find_unused_parameters=False))
        cfg = Config(dict(runner_type='FlexibleRunner', strategy=dict(type='x.FullyShardStrategy')))
        runs.apply_launch_arguments(cfg, arguments('--launcher', 'pytorch'))
        assert cfg.strategy == dict(type='x.FullyShardStrategy')
        assert cfg.env_cfg.dist_cfg.backend == 'gloo'

    def test_a_gpu_waits_for_no_batch(self, on_gpu):
        cfg = Config(dict(train_dataloader=dict(batch_size=2), val_dataloader=None,
                          test_dataloader=dict(pin_memory=False),
                          model=dict(data_preprocessor=dict(type='VideoTextDataPreprocessor'))))
        runs.apply_launch_arguments(cfg, arguments())
        assert cfg.train_dataloader == dict(batch_size=2, pin_memory=True)
        assert cfg.test_dataloader == dict(pin_memory=False)
        assert cfg.model.data_preprocessor == dict(
            type='VideoTextDataPreprocessor', non_blocking=True)

    @pytest.mark.parametrize('preprocessor', [
        None, dict(type='mmaction.ActionDataPreprocessor', mean=[0, 0, 0], std=[1, 1, 1])])
    def test_others_models_are_built_as_they_are(self, on_gpu, preprocessor):
        loaders = [dict(batch_size=1)] * 2  # a user's loop may want several
        cfg = Config(dict(model=dict(data_preprocessor=preprocessor), val_dataloader=loaders))
        runs.apply_launch_arguments(cfg, arguments())
        assert cfg.model.data_preprocessor == preprocessor
        assert cfg.val_dataloader == loaders
        if preprocessor:
            MODELS.build(cfg.model.data_preprocessor)

    def test_a_cpu_has_nothing_to_pin(self, on_cpu):
        cfg = Config(dict(train_dataloader=dict(batch_size=2)))
        runs.apply_launch_arguments(cfg, arguments())
        assert cfg.train_dataloader == dict(batch_size=2)

    @pytest.mark.parametrize('launcher', ['none', 'pytorch'])
    def test_a_gpu_changes_nothing(self, on_gpu, launcher):
        cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl'))))
        runs.apply_launch_arguments(cfg, arguments('--launcher', launcher))
        assert cfg.env_cfg.dist_cfg.backend == 'nccl'
        assert 'model_wrapper_cfg' not in cfg


class TestMixedPrecision:
    def test_on_a_cpu(self, on_cpu):
        cfg = Config(dict(optim_wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic',
                                             optimizer=dict(type='SGD'))))
        runs.use_mixed_precision(cfg)
        assert cfg.optim_wrapper == dict(
            type='tvtsv2_mm.BFloat16OptimWrapper', optimizer=dict(type='SGD'))

    @pytest.mark.parametrize(('given', 'has_bfloat16', 'expected'), [
        ({}, True, dict(type='tvtsv2_mm.BFloat16OptimWrapper')),
        ({}, False, dict(type='AmpOptimWrapper', loss_scale='dynamic')),
        (dict(type='AmpOptimWrapper'), True, dict(type='AmpOptimWrapper', loss_scale='dynamic')),
    ])
    def test_on_a_gpu(self, on_gpu, monkeypatch, given, has_bfloat16, expected):
        # Not what torch emulates, which is slow.
        monkeypatch.setattr('torch.cuda.is_bf16_supported',
                            lambda including_emulation: has_bfloat16 or including_emulation)
        cfg = Config(dict(optim_wrapper=dict(given, optimizer=dict(type='SGD'))))
        runs.use_mixed_precision(cfg)
        assert cfg.optim_wrapper == dict(expected, optimizer=dict(type='SGD'))

    def test_bfloat16_stays(self, on_gpu):
        cfg = Config(dict(optim_wrapper=dict(type='BFloat16OptimWrapper')))
        runs.use_mixed_precision(cfg)
        assert cfg.optim_wrapper.type == 'BFloat16OptimWrapper'

    def test_a_wrapper_of_another_kind(self, on_cpu):
        cfg = Config(dict(optim_wrapper=dict(type='ApexOptimWrapper')))
        with pytest.raises(ValueError, match='ApexOptimWrapper'):
            runs.use_mixed_precision(cfg)

    @pytest.mark.parametrize(('given', 'expected'), [
        (dict(), dict(param_dtype='bfloat16', reduce_dtype='float32')),
        (dict(mixed_precision=dict(param_dtype='float32')), dict(param_dtype='float32'))])
    def test_of_a_sharded_model_is_the_strategys(self, on_gpu, given, expected):
        cfg = Config(dict(runner_type='FlexibleRunner', optim_wrapper=dict(type='OptimWrapper'),
                          strategy=dict(type='tvtsv2_mm.FullyShardStrategy', **given)))
        runs.use_mixed_precision(cfg)
        assert cfg.strategy.mixed_precision == expected
        assert cfg.optim_wrapper.type == 'OptimWrapper'


def test_a_plain_run_does_not_resume_from_a_folder(tmp_path):
    folder = tmp_path / 'epoch_1.pth'
    folder.mkdir()
    (folder / '__0_0.distcp').touch()
    cfg = Config(dict(work_dir=str(tmp_path)))
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth is a sharded checkpoint'):
        runs.apply_resume(cfg, str(folder))
    cfg.update(runner_type='FlexibleRunner', strategy=dict(type='tvtsv2_mm.FullyShardStrategy'))
    runs.apply_resume(cfg, str(folder))
    assert (cfg.resume, cfg.load_from) == (True, str(folder))


@pytest.mark.parametrize(('given', 'config', 'expected'), [
    ('auto', dict(load_from='start.pth'), ('auto', 'start.pth')),
    ('auto', dict(), ('auto', None)),
    ('other.pth', dict(load_from='start.pth'), (True, 'other.pth')),
    # mmengine's own words, in a config.
    (None, dict(resume=True), ('auto', None)),
    (None, dict(resume=True, load_from='other.pth'), (True, 'other.pth')),
    (None, dict(resume='auto', load_from='start.pth'), ('auto', 'start.pth')),  # as it was dumped
    (None, dict(load_from='start.pth'), (False, 'start.pth')),
])
def test_what_a_run_goes_on_from_or_starts_from(tmp_path, monkeypatch, given, config, expected):
    monkeypatch.chdir(tmp_path)
    Path('other.pth').touch()
    cfg = Config(dict(work_dir='.', **config))
    runs.apply_resume(cfg, given)
    assert (cfg.resume, cfg.get('load_from')) == expected


class TestGoingOnWithAnotherModel:
    """torch and mmengine take an optimiser's state by the number of its parameters alone."""

    @pytest.fixture(autouse=True)
    def same_schedule(self, monkeypatch):
        monkeypatch.setattr(runs, 'settle_schedule', lambda *_, **__: None)

    class Plain:  # a Runner, as far as it matters here
        _resume = True
        cfg: dict = {}

        def __init__(self, lora):
            torch.manual_seed(0)
            backbone = MODELS.build(dict(
                type='SpaceTimeViT', image_size=8, patch_size=4, width=8, layers=1, heads=2,
                embed_dim=4, num_frames=2, lora=lora))
            self.model = torch.nn.ModuleDict(dict(backbone=backbone))
            learning = [part for part in backbone.parameters() if part.requires_grad]
            self.optim_wrapper = OptimWrapper(torch.optim.AdamW(learning))
            self.saved = None

        def call_hook(self, name, checkpoint):
            pass

        def resume(self, filename):
            self.call_hook('after_load_checkpoint', checkpoint=self.saved)
            self.model.load_state_dict(self.saved['state_dict'], strict=False)
            self.optim_wrapper.load_state_dict(self.saved['optimizer'])

    class Run(runs._OurRunner, Plain):
        _whole = 'epoch_1.pth'  # there is none
        cfg = Config()

    @pytest.fixture(autouse=True)
    def without_schedule(self, monkeypatch):
        monkeypatch.setattr(runs, 'settle_schedule', lambda *_, **__: None)

    def go_on(self, before, after):
        one, other = self.Run(before), self.Run(after)
        video = torch.ones(1, 2, 3, 8, 8)
        one.model.backbone(video)[0].sum().backward()
        one.optim_wrapper.step()
        one.saved = other.saved = dict(
            state_dict=one.model.state_dict(), optimizer=one.optim_wrapper.state_dict())
        other.resume('epoch_1.pth')

    @pytest.mark.parametrize('after', [dict(rank=1), dict(rank=2, alpha=4), None])
    def test_other_adapters(self, after):
        self.go_on(dict(rank=2), dict(rank=2))
        with pytest.raises(CheckpointError, match=r'epoch_1\.pth .*adapters .*others.*same lora'):
            self.go_on(dict(rank=2), after)

    def test_no_optimiser(self):
        run = self.Run(None)
        run.saved = dict(state_dict=run.model.state_dict())
        with pytest.raises(CheckpointError, match=r'epoch_1\.pth .*has no state of an optimiser'):
            run.resume('epoch_1.pth')

    def test_other_sizes(self):
        one, other = (OptimWrapper(torch.optim.AdamW([torch.nn.Parameter(torch.ones(size))]))
                      for size in (2, 3))
        one.update_params(one.optimizer.param_groups[0]['params'][0].sum())
        runs._check_optimizer(one)
        other.load_state_dict(one.state_dict())
        with pytest.raises(CheckpointError, match=r'exp_avg of a parameter of \(2,\), .* \(3,\)'):
            runs._check_optimizer(other)


@pytest.mark.parametrize(('load_from', 'expected'), [
    ('b.pth', dict(type='X', checkpoint='b.pth')), (None, dict(type='X', checkpoint=None))])
def test_a_hook_follows_the_checkpoint_that_is_started_from(load_from, expected):
    other = dict(type='X', checkpoint='c.pth')
    cfg = Config(dict(load_from=load_from, default_hooks=dict(
        one=dict(type='X', checkpoint='a.pth'), other=other, none=None)))
    runs._follow_start(cfg, 'a.pth')
    assert cfg.default_hooks == dict(one=expected, other=other, none=None)
    runs._follow_start(cfg, None)
    assert cfg.default_hooks == dict(one=expected, other=other, none=None)
    cfg.default_hooks.one.checkpoint = None  # of a config that starts from none
    runs._follow_start(cfg, None)
    assert cfg.default_hooks == dict(one=expected, other=other, none=None)
