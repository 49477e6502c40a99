"""Two gloo ranks: sharded training against DDP, against itself resumed, and against one process."""

import json
import os
import re
import runpy
import shutil
import sys
import time
from copy import deepcopy
from itertools import chain
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.helpers import run_ranks
from tests.test_engine.test_strategies.random_parts import RandomClipsOfStrategyTest
from tvtsv2_mm.apis.launch.runs import build_runner
from tvtsv2_mm.checkpoints import CheckpointError, read_state_dict
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint
from tvtsv2_mm.checkpoints.lora import adapters_of, merge_lora
from tvtsv2_mm.engine.strategies import FullyShardStrategy
from tvtsv2_mm.engine.strategies.fully_shard_strategy import gathers_again
from tvtsv2_mm.registry import MODELS

ROOT = Path(__file__).parents[3]
CONFIG = Path(__file__).with_name('random_config.py')
DDP = dict(_delete_=True, type='DDPStrategy', model_wrapper=dict(
    type='MMDistributedDataParallel', device_ids=None))


def build(work_dir, **options):
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(dict(work_dir=str(work_dir), experiment_name=Path(work_dir).name))
    cfg.merge_from_dict(deepcopy(options))  # which it takes apart
    return build_runner(cfg)


class Gathers(TorchDispatchMode):
    """Counts the units whose weights are gathered."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.c10d._allgather_base_.default
        return func(*args, **(kwargs or {}))


def train(work_dir, **options):
    """Train, and return what there is to compare."""
    runner = build(work_dir, **options)
    with Gathers() as gathers:
        runner.train()
    [record] = [hook for hook in runner.hooks if type(hook).__name__ == 'LossesOfStrategyTest']
    model = getattr(runner.model, 'module', runner.model)
    return dict(
        gathers=gathers.count,
        losses=record.losses,
        weights=whole(model),
        norms=MessageHub.get_current_instance().get_scalar('train/grad_norm').data[0].tolist(),
        sharded=sum(isinstance(value, DTensor) for value in model.parameters()),
        held=sum(value.to_local().numel() if isinstance(value, DTensor) else value.numel()
                 for value in chain(model.parameters(), *(
                     state.values() for state in runner.optim_wrapper.optimizer.state.values()))))


def whole(model):
    return {name: value.full_tensor() if isinstance(value, DTensor) else value.clone()
            for name, value in model.state_dict().items()}


def run_test(work_dir, folder, **options):
    """Test a CLIP of another layout, texts and classes encoded in the middle of it."""
    runner = build(
        work_dir, load_from=str(folder / 'clip.pth'),
        model=dict(neck=dict(vocab_size=49408),
                   cls_head=dict(type='ZeroShotHead', classes=['a', 'b'], context_length=12)),
        test_evaluator=dict(query_bank=str(folder / 'bank.jsonl')),
        custom_hooks=[dict(type='QueryBankHook', context_length=12, batch_size=2)], **options)
    return dict(metrics=runner.test(), weights=whole(runner.model))


def two_ranks(rank, world_size, folder):
    time.sleep = lambda _: None  # of mmengine, between epochs
    os.environ['LOCAL_RANK'] = str(rank)
    on_ranks = dict(launcher='pytorch')
    runs = dict(
        ddp=train(folder / 'ddp', strategy=DDP, **on_ranks),
        sharded=train(folder / 'sharded', **on_ranks))
    runs['resumed'] = train(folder / 'resumed', resume=True, **on_ranks,
                            load_from=str(folder / 'sharded' / 'iter_2.pth'))
    runs['resumed_gathered_once'] = train(
        folder / 'resumed_gathered_once', resume=True, strategy=dict(gather_once=True), **on_ranks,
        load_from=str(folder / 'sharded' / 'iter_2.pth'))
    runs['from_one'] = train(folder / 'from_one', resume=True, **on_ranks,
                             load_from=str(folder / 'one' / 'iter_4.pth'))
    runs['from_ddp'] = train(folder / 'from_ddp', resume=True, **on_ranks,
                             load_from=str(folder / 'ddp' / 'iter_4.pth'))
    short = dict(train_cfg=dict(max_epochs=1), **on_ranks)
    runs['recomputed'] = train(
        folder / 'recomputed', strategy=dict(activation_checkpointing=True), **short)
    for name, once in (('parts', False), ('parts_gathered_once', True)):
        try:
            runs[name] = train(folder / name, model=dict(micro_batch_size=1),
                               strategy=dict(gather_once=once), **short)
        except ValueError as error:  # of torch 2.7
            runs[name] = dict(weights={}, refused=str(error))
    runs['bfloat16'] = train(
        folder / 'bfloat16', strategy=dict(mixed_precision=dict(param_dtype='bfloat16')), **short)
    accumulated = dict(accumulative_counts=2, optimizer=dict(fused=True))
    for name, strategy in (('ddp_accumulated', DDP), ('accumulated', dict())):
        runs[name] = train(folder / name, strategy=strategy, optim_wrapper=accumulated, **short)
    runs['all_at_once'] = train(
        folder / 'all_at_once', **short,
        strategy=dict(mixed_precision=dict(param_dtype='bfloat16'), activation_checkpointing=True),
        optim_wrapper=dict(accumulated, type='BFloat16OptimWrapper'))
    runs['tested'] = run_test(folder / 'tested', folder, **on_ranks)
    torch.save(runs, folder / f'runs_{rank}.pth')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    from transformers import CLIPConfig, CLIPModel  # on ranks the mends would come too late
    path = tmp_path_factory.mktemp('runs')
    (path / 'bank.jsonl').write_text('\n'.join(
        json.dumps(dict(path='x.mp4', captions=[text])) for text in ('a dog', 'one hand', 'no')))
    tower = dict(num_hidden_layers=2, hidden_act='quick_gelu')
    clip = CLIPModel(CLIPConfig(
        text_config=dict(hidden_size=32, intermediate_size=128, num_attention_heads=2,
                         max_position_embeddings=12, eos_token_id=2, **tower),
        vision_config=dict(hidden_size=48, intermediate_size=192, num_attention_heads=3,
                           image_size=32, patch_size=8, **tower),
        projection_dim=32))
    torch.save(clip.state_dict(), path / 'clip.pth')
    return path


# All tests of it are marked slow: the first one waits for it.
@pytest.fixture(scope='module', params=[pytest.param('', marks=pytest.mark.slow, id='slow')])
def runs(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('time.sleep', lambda _: None)
        # The batches of two ranks at once.
        one = train(folder / 'one', train_dataloader=dict(batch_size=4),
                    default_hooks=dict(checkpoint=dict(max_keep_ckpts=3)))
        run_ranks(2, two_ranks, folder)
        to_one = train(folder / 'to_one', train_dataloader=dict(batch_size=4), resume=True,
                       load_from=str(folder / 'sharded' / 'iter_4.pth'))
    found = [torch.load(folder / f'runs_{rank}.pth') for rank in range(2)]
    for name in found[0]:
        for key, value in found[0][name]['weights'].items():
            assert torch.equal(value, found[1][name]['weights'][key]), (name, key)
    return found[0] | dict(one=one, to_one=to_one)


def assert_close(run, other, *, steps=None, **tolerance):
    ours, theirs = run['losses'], other['losses'][-len(run['losses']):]
    for mine, their in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(their, **tolerance)
    for name, value in run['weights'].items():
        torch.testing.assert_close(value, other['weights'][name], atol=tolerance['abs'],
                                   rtol=0, msg=lambda message, name=name: name + message)


def test_the_losses_and_weights_of_ddp(runs):
    sharded, ddp = runs['sharded'], runs['ddp']
    assert len(sharded['losses']) == 8
    assert 'loss_sorting' in sharded['losses'][0]
    assert 'loss_sorting' not in sharded['losses'][1]  # where the head is idle
    assert sharded['sharded'] == len(list(sharded['weights']))
    assert ddp['sharded'] == 0
    assert sharded['held'] < 0.52 * ddp['held']  # of weights and optimiser, by each rank
    assert_close(sharded, ddp, abs=1e-5)
    assert sharded['norms'] == pytest.approx(ddp['norms'], rel=1e-5)  # over all ranks


@pytest.mark.parametrize('name', ['resumed', 'resumed_gathered_once'])
def test_a_resumed_run_is_the_same_to_the_bit(runs, name):
    """From the middle of the first epoch; the log goes on too."""
    assert runs[name]['losses'] == runs['sharded']['losses'][2:]
    assert runs[name]['norms'] == runs['sharded']['norms']
    for key, value in runs['sharded']['weights'].items():
        assert torch.equal(runs[name]['weights'][key], value), key


def only_global(run):
    """Without what a rank computes from its own clips alone."""
    return dict(run, losses=[
        {key: value for key, value in losses.items() if key == 'loss_contrastive'}
        for losses in run['losses']])


@pytest.mark.parametrize('name', ['to_one', 'from_one'])
def test_another_number_of_ranks(runs, name):
    """The same batches in other pieces: two ranks with 2 clips, one with 4."""
    assert len(runs[name]['losses']) == 4
    assert runs[name]['sharded'] == (0 if name == 'to_one' else runs['sharded']['sharded'])
    assert_close(only_global(runs[name]), only_global(runs['sharded']), abs=1e-5)
    assert_close(only_global(runs['one']), only_global(runs['sharded']), abs=1e-5)


def test_a_run_of_ddp_goes_on_in_shards(runs):
    assert_close(runs['from_ddp'], runs['ddp'], abs=1e-5)


def test_activation_checkpointing_changes_nothing(runs):
    for mine, their in zip(runs['recomputed']['losses'], runs['sharded']['losses'], strict=False):
        assert mine == pytest.approx(their, abs=1e-6)
    assert runs['recomputed']['norms'] == pytest.approx(runs['sharded']['norms'][:4], rel=1e-5)


def test_micro_batches_need_no_weights_of_their_own(runs):
    parts, once = runs['parts'], runs['parts_gathered_once']
    if not gathers_again():
        assert all('take a newer torch' in run['refused'] for run in (parts, once))
        return
    assert_close(dict(parts, weights={}), runs['sharded'] | dict(
        losses=runs['sharded']['losses'][:4]), abs=1e-5)
    assert once['losses'] == parts['losses']
    assert once['gathers'] < 0.5 * parts['gathers']
    for name, value in parts['weights'].items():
        assert torch.equal(once['weights'][name], value), name


class Story:
    """A run told in words, and what the model says meanwhile."""

    def __init__(self, work_dir, strategy):
        runner = build(work_dir, strategy=strategy, launcher='pytorch')
        self.strategy, self.path, self.steps, self.said = runner.strategy, work_dir / 'x.pth', 0, []
        self.strategy.prepare(runner.model, optim_wrapper=runner.optim_wrapper)
        self.model, self.wrapper = self.strategy.model, self.strategy.optim_wrapper
        self.bare = getattr(self.model, 'module', self.model)

    def tell(self, words):
        for word in words.split():
            getattr(self, word)()
        return [*self.said, whole(self.bare)]

    def batch(self):
        clips = RandomClipsOfStrategyTest(size=64, texts=1 + 2 * (self.steps % 2))
        first = 4 * self.steps + 2 * dist.get_rank()
        self.steps += 1
        return pseudo_collate([clips[first], clips[first + 1]])

    def forward(self):
        losses = self.model(**self.bare.data_preprocessor(self.batch(), True), mode='loss')
        self.said.append(losses['loss_contrastive'].detach())
        return sum(losses.values())

    def backward(self):
        self.forward().backward()

    def train(self):
        self.backward()
        self.step()

    def step(self):
        self.wrapper.step()
        self.wrapper.zero_grad()
        self.in_shards()

    def skip(self):
        self.backward()
        self.wrapper.zero_grad()
        self.in_shards()

    def val(self):
        with torch.no_grad():
            self.said += [x.video_embed for x in self.model.val_step(self.batch())]
        self.in_shards()

    def in_shards(self):
        kinds = {isinstance(value, DTensor) for value in self.model.parameters()}
        assert kinds == {isinstance(self.strategy, FullyShardStrategy)}

    def save(self):
        self.strategy.save_checkpoint(
            str(self.path), extra_ckpt=dict(meta=dict(iter=0, epoch=0)))
        dist.barrier()

    def load(self):
        self.strategy.load_checkpoint(str(self.path))

    def resume(self):
        self.strategy.resume(str(self.path))

    def keep(self):
        self.kept = dict(
            own={name: value.clone() for name, value in self.model.state_dict().items()},
            whole=whole(self.bare), optimized=[value.detach().clone() for value in self.optimized])

    def restore(self):
        self.model.load_state_dict(self.kept['own'])

    def restore_whole(self):
        self.strategy.load_model_state_dict(self.kept['whole'])

    def swap(self):
        """As schedule-free optimisers do around a validation, and averages."""
        for value, kept in zip(self.optimized, self.kept['optimized'], strict=True):
            before = value.detach().clone()
            value.data.copy_(kept)
            kept.copy_(before)

    @property
    def optimized(self):
        return [value for group in self.wrapper.optimizer.param_groups for value in group['params']]


def compare_stories(rank, world_size, folder, words):
    os.environ['LOCAL_RANK'] = str(rank)
    ddp, sharded, once = (Story(folder / name, strategy).tell(words) for name, strategy in dict(
        ddp=DDP, sharded=dict(), once=dict(gather_once=True)).items())
    torch.testing.assert_close(sharded, ddp, atol=1e-5, rtol=0)
    torch.testing.assert_close(once, sharded, atol=0, rtol=0)


@pytest.mark.parametrize('words', [
    'train val train skip train skip val train forward val backward val backward step train',
    'train forward save keep train forward load train val load train skip resume train '
    'forward restore train val restore train forward restore_whole train',
    'train keep train swap val swap train skip swap train skip swap val swap train'],
    ids=['steps', 'loading', 'swaps'])
def test_no_forward_takes_weights_gathered_before_a_change(tmp_path, words):
    run_ranks(2, compare_stories, tmp_path, words)


def test_accumulation_and_a_fused_optimiser(runs):
    assert runs['accumulated']['losses'][0] == runs['sharded']['losses'][0]
    assert runs['accumulated']['losses'][1] != runs['sharded']['losses'][1]
    assert_close(runs['accumulated'], runs['ddp_accumulated'], abs=1e-5)


def test_bfloat16(runs):
    for name in ('bfloat16', 'all_at_once'):
        first, exact = runs[name]['losses'][0]['loss'], runs['sharded']['losses'][0]['loss']
        assert first != exact
        assert first == pytest.approx(exact, rel=0.02)
        assert all(value.dtype == torch.float32 for value in runs[name]['weights'].values())


def test_export(runs, folder, tmp_path):
    checkpoint = folder / 'sharded' / 'iter_8.pth'
    expected = runs['sharded']['weights']
    convert_checkpoint(checkpoint, tmp_path / 'whole.safetensors')
    for weights in (read_state_dict(checkpoint), load_file(tmp_path / 'whole.safetensors')):
        assert weights.keys() == expected.keys()
        for name, value in weights.items():
            assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize('runner', ['FlexibleRunner', 'Runner'])
def test_a_folder_is_tested_like_a_file(runs, folder, tmp_path, runner):
    checkpoint = folder / 'sharded' / 'iter_8.pth'
    convert_checkpoint(checkpoint, tmp_path / 'whole.safetensors')
    metrics = [build(tmp_path, load_from=str(path), runner_type=runner).test()
               for path in (checkpoint, tmp_path / 'whole.safetensors')]
    assert metrics[0] == metrics[1]


def test_weights_of_another_layout_and_texts_outside_the_forward(runs, folder, tmp_path):
    alone = run_test(tmp_path, folder)
    assert runs['tested']['metrics'] == pytest.approx(alone['metrics'], abs=1e-4)
    assert any('qb' in name for name in alone['metrics'])
    for name, value in alone['weights'].items():
        assert torch.equal(runs['tested']['weights'][name], value), name


def test_weights_for_another_model(runs, folder, tmp_path):
    """A part of the folder, as load_from: there the model decides what it can do without."""
    runner = build(tmp_path, load_from=str(folder / 'sharded' / 'iter_8.pth'),
                   model=dict(sorting_head=None))
    runner.test()
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, runs['sharded']['weights'][name])
    for other in (dict(), dict(sorting_head=None)):
        with pytest.raises(CheckpointError, match=r'backbone\.norm_eps: 1e-05 by the checkpoint'):
            build(tmp_path, load_from=str(folder / 'sharded' / 'iter_8.pth'),
                  model=dict(backbone=dict(norm_eps=1e-3), **other)).test()


def test_the_tool(tmp_path, monkeypatch):
    """On one process: with what is there after an epoch, it ends where it would have ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr('time.sleep', lambda _: None)

    def call(work_dir, *words):
        monkeypatch.setattr(sys, 'argv', [
            'train.py', str(CONFIG), '--work-dir', work_dir, '--amp', '--auto-scale-lr',
            '--no-validate', '--seed', '7', *words])
        runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')

    call('whole')
    shutil.copytree('whole/iter_8.pth', 'cut/iter_8.pth')
    Path('cut/last_checkpoint').write_text('cut/iter_8.pth')
    call('cut', '--resume')
    expected = read_state_dict('whole/iter_16.pth')
    for name, value in read_state_dict('cut/iter_16.pth').items():
        assert torch.equal(value, expected[name]), name
    damaged = tmp_path / 'cut' / 'iter_16.pth' / '.metadata'
    damaged.unlink()
    call('cut', '--resume')
    log = max(Path('cut').glob('*/*.log')).read_text()
    assert re.search(r'iter_16\.pth is incomplete: it has no \.metadata.* from the one before', log)
    assert damaged.is_file()


def test_the_config_that_is_ready():
    cfg = Config.fromfile(ROOT / 'configs' / 'tvtsv2' / 'vit-h_pretrain.py')
    assert cfg.strategy.pop('type') == 'tvtsv2_mm.FullyShardStrategy'
    strategy = FullyShardStrategy(**cfg.strategy)
    assert strategy.policy.param_dtype == torch.bfloat16
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build({key: value for key, value in cfg.model.items()
                              if key != 'data_preprocessor'})
    units = [module for module in model.modules() if type(module).__name__ in strategy.units]
    assert len(units) == 32 + 24 + 1
    in_units = sum(value.numel() for unit in units for value in unit.parameters())
    assert in_units > 0.94 * sum(value.numel() for value in model.parameters())


def test_only_the_last_folders_are_kept(runs, folder):
    assert sorted(path.name for path in (folder / 'one').glob('*iter*')) == [
        'iter_4.pth', 'iter_6.pth', 'iter_8.pth']


class Sums:
    """A group of two whose average is a sum, as that of gloo is with torch 2.7."""

    def size(self):
        return 2

    def _reduce_scatter_base(self, output, given, options):
        assert options.reduceOp == torch.distributed.ReduceOp.AVG
        output.copy_(given.sum())
        return self

    def wait(self):
        pass


def test_gradients_that_would_be_added_up_are_refused(tmp_path, monkeypatch):
    runner = build(tmp_path)
    strategy = sys.modules[FullyShardStrategy.__module__]
    monkeypatch.setattr(strategy, 'is_distributed', lambda: True)
    monkeypatch.setattr(strategy, 'get_backend', lambda: 'gloo')
    monkeypatch.setattr('torch.distributed.distributed_c10d._get_default_group', Sums)
    with pytest.raises(ValueError, match=r'the backend gloo of torch .* adds the gradients'):
        runner.strategy.build_optim_wrapper(runner.optim_wrapper, runner.model)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    runner = build(tmp_path)
    runner.strategy.prepare(runner.model, optim_wrapper=runner.optim_wrapper)
    with torch.no_grad():
        next(runner.strategy.model.parameters()).fill_(float('nan'))
    runner.strategy.save_checkpoint(str(tmp_path / 'x.pth'))
    with pytest.raises(CheckpointError, match=r'x\.pth: .* not finite'):
        runner.strategy.load_checkpoint(str(tmp_path / 'x.pth'))


def test_resume_says_what_is_missing(runs, folder, tmp_path):
    checkpoint = folder / 'sharded' / 'iter_8.pth'
    runner = build(tmp_path, resume=True, load_from=str(checkpoint), model=dict(sorting_head=None))
    with pytest.raises(CheckpointError, match=r'Weights of one alone: sorting_head\.blocks'):
        runner.train()


@pytest.mark.parametrize('sharded', [True, False])
def test_other_adapters_are_merged_but_no_run_goes_on_with_them(tmp_path, sharded):
    def strategy_with(lora):
        runner = build(tmp_path, model=dict(backbone=dict(lora=lora)))
        runner.strategy.prepare(runner.model, optim_wrapper=runner.optim_wrapper)
        return runner.strategy

    one, path = strategy_with(dict(rank=2)), str(tmp_path / 'x.pth')
    with torch.no_grad():
        for value in adapters_of(dict(one.model.named_parameters())).values():
            value.normal_()
    meta = dict(iter=1)
    if sharded:
        one.save_checkpoint(path, extra_ckpt=dict(meta=meta))
    else:
        torch.save(dict(state_dict=one.model.state_dict(), meta=meta,
                        optimizer=one.optim_wrapper.state_dict()), path)
    strategy_with(dict(rank=2)).resume(path)
    for lora in (dict(rank=1), dict(rank=2, alpha=4), None):
        other = strategy_with(lora)
        with pytest.raises(CheckpointError, match=r'adapters .* are others than those of the'):
            other.resume(path)
        other.load_checkpoint(path)  # as load_from does
        found = merge_lora(other.model.state_dict())
        for name, value in merge_lora(one.model.state_dict()).items():
            torch.testing.assert_close(found[name], value, msg=f'{name} with {lora}')


@pytest.mark.parametrize(('options', 'message'), [
    (dict(mixed_precision=dict(param_dtype='float16')), "must be one of bfloat16, float32, not"),
    (dict(mixed_precision=dict(dtype='bfloat16')), 'knows param_dtype and reduce_dtype, not dtype'),
])
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        FullyShardStrategy(**options)


@pytest.mark.parametrize(('units', 'message'), [
    (['Block'], r'no module of the classes Block; it has .*JointBlock'),
    (['JointBlock', 'TranscriptSortingHead'],
     r'JointBlock is inside of a TranscriptSortingHead, .* in one piece')])
def test_wrong_units(tmp_path, units, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path, strategy=dict(units=units)).train()


def test_float16_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available',
                        lambda: True)
    with pytest.raises(ValueError, match='does not scale losses'):
        build(tmp_path, optim_wrapper=dict(type='AmpOptimWrapper')).train()
