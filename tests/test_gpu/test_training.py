"""Runs of a Runner on the device: in every way of training, the losses and weights of the CPU."""

import copy
import functools
from unittest import mock

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from torch.distributed.tensor import DTensor

from tests.helpers import free_port
from tests.test_engine.test_strategies.test_fully_shard_strategy import CONFIG
from tvtsv2_mm.apis.launch.runs import build_runner


def hook(**more) -> dict:
    return dict(custom_hooks=[dict(type='ResumeDataHook'), dict(type='LossesOfStrategyTest'), more])


AVERAGED = hook(type='EMAHook', momentum=0.1)


@pytest.fixture(autouse=True)
def patches(monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)  # of mmengine, between epochs
    # On a GPU it is that already.
    scaler = functools.partial(torch.amp.GradScaler,
                               'cuda' if torch.cuda.is_available() else 'cpu')
    wrapper = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{wrapper}.GradScaler', scaler)
    monkeypatch.setattr(f'{wrapper}.is_cuda_available', lambda: True)


@pytest.fixture
def one_rank(device, monkeypatch):
    """Options of a run on one rank of the device's own backend, which it starts itself."""
    method = mp.get_start_method(allow_none=True)
    for key, value in dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1',
                           MASTER_PORT=free_port()).items():
        monkeypatch.setenv(key, str(value))
    yield dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(
        backend=dict(cpu='gloo', cuda='nccl')[device])))
    dist.destroy_process_group()
    mp.set_start_method(method, force=True)


def train(work_dir, **options):
    """Eight steps, sorting and captions in turn, and an evaluation."""
    cfg = Config.fromfile(CONFIG)
    for own in (dict(work_dir=str(work_dir), experiment_name=str(work_dir), runner_type='Runner',
                     train_cfg=dict(max_epochs=1)), options):
        cfg.merge_from_dict(copy.deepcopy(own))  # which it takes apart
    runner = build_runner(cfg)
    runner.train()
    [record] = [hook for hook in runner.hooks if type(hook).__name__ == 'LossesOfStrategyTest']
    runner.losses = [list(losses.values()) for losses in record.losses]
    runner.weights = on_cpu(runner.model)
    return runner


def on_cpu(model) -> dict:
    return {name: (value.full_tensor() if isinstance(value, DTensor) else value).cpu()
            for name, value in model.state_dict().items()}


def average(runner) -> dict:
    [own] = [hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook']
    return on_cpu(own.ema_model.module)


@pytest.fixture(scope='module')
def on_the_cpu(tmp_path_factory):
    with mock.patch('mmengine.device.utils.DEVICE', 'cpu'), mock.patch('time.sleep'):
        return train(tmp_path_factory.mktemp('cpu'), **AVERAGED)


def assert_close(runner, other, tolerance: float, drift: float = 1e-5) -> None:
    """Losses, and the weights, which go up to 8e-3 in the eight steps, on the mean of a tensor."""
    for own, expected in zip(runner.losses, other.losses[-len(runner.losses):], strict=True):
        assert own == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert_close_weights(runner.weights, other.weights, drift)


def assert_close_weights(own: dict, other: dict, drift: float) -> None:
    for name, value in other.items():
        error = (own[name] - value).abs().mean()
        assert error <= drift, f'{name}: {error}'


def mixed(kind: str, **options) -> dict:
    return dict(optim_wrapper=dict(type=kind, **options))


FUSED = dict(optim_wrapper=dict(optimizer=dict(fused=True)))
SAVING = dict(micro_batch_size=1, backbone=dict(checkpointing=True))
COMPILED = hook(type='CompileBlocksHook', backend='inductor')
LOW = 5e-2, 3e-3  # the second for biases of keys, whose gradients are rounding


@pytest.mark.parametrize(('options', 'bounds'), [
    (dict(), (1e-4, )), (FUSED, (1e-4, )), (mixed('BFloat16OptimWrapper'), LOW),
    (dict(model=SAVING), (1e-4, )),
    (dict(COMPILED, model=SAVING, **mixed('BFloat16OptimWrapper', **FUSED['optim_wrapper'])), LOW),
], ids=['plain', 'fused', 'bfloat16', 'saving', 'all'])
def test_losses_and_weights_of_the_cpu(device, tmp_path, on_the_cpu, options, bounds):
    if device == 'cpu' and 'custom_hooks' in options:
        options = dict(options, **hook(type='CompileBlocksHook', backend='eager'))
    runner = train(tmp_path, **options)
    assert {value.device.type for value in runner.model.parameters()} == {device}
    assert_close(runner, on_the_cpu, *bounds)


def test_scaled_losses(device, tmp_path, on_the_cpu):
    """In float16; of a CPU mmengine takes bfloat16 alone."""
    dtype = dict(cpu='bfloat16', cuda='float16')[device]
    runner = train(tmp_path, **mixed(
        'AmpOptimWrapper', dtype=dtype, loss_scale=dict(init_scale=256.0, growth_interval=5)))
    assert runner.optim_wrapper.loss_scaler.get_scale() == 512
    assert_close(runner, on_the_cpu, *LOW)


def test_averaged_weights(device, tmp_path, on_the_cpu):
    runner = train(tmp_path, **AVERAGED)
    assert_close(runner, on_the_cpu, 1e-4)
    assert_close_weights(average(runner), average(on_the_cpu), 1e-5)
    # Of mmengine's hook: in the end the weights are the average's where the model is evaluated.
    assert any(not torch.equal(value, runner.weights[name])
               for name, value in average(runner).items())


def test_the_same_seed_gives_the_same_run_with_deterministic_algorithms(device, tmp_path):
    options = dict(FUSED, **AVERAGED, randomness=dict(seed=3, deterministic=True))
    try:
        one, other = (train(tmp_path / name, **options) for name in ('one', 'other'))
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
    assert_close(one, other, 0, 0)
    assert_close_weights(average(one), average(other), 0)


def test_a_resumed_run(device, tmp_path):
    whole = train(tmp_path / 'whole', **FUSED, **AVERAGED)
    rest = train(tmp_path / 'rest', **FUSED, **AVERAGED, resume=True,
                 load_from=str(tmp_path / 'whole' / 'iter_4.pth'))
    assert len(rest.losses) == 4
    # Attention's backward adds up in no fixed order on a GPU.
    bounds = dict(cpu=(0, 0), cuda=(1e-4, 1e-5))[device]
    assert_close(rest, whole, *bounds)
    assert_close_weights(average(rest), average(whole), bounds[1])


@pytest.mark.parametrize(('strategy', 'bounds'), [
    (dict(), (1e-4, )),
    (dict(mixed_precision=dict(param_dtype='bfloat16'), activation_checkpointing=True), LOW)],
    ids=['float32', 'bfloat16'])
def test_one_rank_of_a_sharded_run(tmp_path, one_rank, on_the_cpu, strategy, bounds):
    sharded = dict(FUSED, **AVERAGED, **one_rank, runner_type='FlexibleRunner', strategy=strategy)
    runner = train(tmp_path / 'whole', **sharded)
    assert all(isinstance(value, DTensor) for value in runner.model.parameters())
    assert_close(runner, on_the_cpu, *bounds)
    rest = train(tmp_path / 'rest', **sharded, resume=True,
                 load_from=str(tmp_path / 'whole' / 'iter_4.pth'))
    assert_close(rest, runner, *bounds)
    drift = LOW[1] if bounds is LOW else 1e-5
    for own in (runner, rest):
        assert_close_weights(average(own), average(on_the_cpu), drift)
