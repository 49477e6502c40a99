import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import LinearLR, OptimWrapper, OptimWrapperDict

from tests.helpers import TrainingRanks
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.engine.hooks import NonFiniteStepHook
from tvtsv2_mm.engine.optimizers import BFloat16OptimWrapper
from tvtsv2_mm.utils.errors import RunStoppedError

CONFIG = Path(__file__).with_name('faulty_config.py')
IN_SHARDS = f"""
_base_ = {str(Path(__file__).parents[1] / 'test_strategies/random_config.py')!r}
custom_imports = dict(imports=[
    'tests.test_engine.test_strategies.random_parts', 'tests.test_engine.test_hooks.faults'])
custom_hooks = [dict(type='FaultHook', do='nan_of_model', at=2, rank=1)]
val_cfg = val_dataloader = val_evaluator = None
"""


def runner_of(wrapper):
    """A runner, as far as the hook knows it."""
    lines = []
    return SimpleNamespace(optim_wrapper=wrapper, iter=0, lines=lines, logger=SimpleNamespace(
        info=lines.append, warning=lines.append))


def wrap(parameter, kind=OptimWrapper, **options):
    return kind(torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.5), **options)


def train(wrapper, parameter, factors, hook=None):
    """Steps whose loss and gradient are each of the factors times the parameter."""
    runner, hook = runner_of(wrapper), hook or NonFiniteStepHook()
    hook.before_train(runner)
    wrapper.initialize_count_status(torch.nn.Identity(), 0, len(factors))
    values = []
    for runner.iter, factor in enumerate(factors):
        hook.before_train_iter(runner, runner.iter, dict(
            data_samples=[dict(filename=f'{runner.iter}.mp4')]))
        wrapper.update_params((parameter * factor).sum())
        values.append(parameter.detach().clone())
    return runner, values


def test_a_scheduler_finds_the_steps_that_it_counts(recwarn):
    parameter = torch.nn.Parameter(torch.ones(2))
    wrapper = wrap(parameter)
    scheduler = LinearLR(wrapper, start_factor=0.1, by_epoch=False)
    train(wrapper, parameter, [1.0])
    scheduler.step()
    assert not [warning.message for warning in recwarn if 'step()' in str(warning.message)]


@pytest.mark.parametrize('kind', [OptimWrapper, BFloat16OptimWrapper])
@pytest.mark.parametrize('clip', [None, dict(max_norm=1.0), dict(type='value', clip_value=1.0)])
@pytest.mark.parametrize('bad', [torch.nan, torch.inf])
def test_a_step_is_left_out_as_if_it_had_not_been(kind, clip, bad):
    results = []
    for factors in ([1.0, bad, 2.0], [1.0, 2.0]):
        parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        wrapper = wrap(parameter, kind, clip_grad=clip and dict(clip))
        runner, values = train(wrapper, parameter, factors)
        results.append((values, wrapper.optimizer.state[parameter], runner.lines))
    (left_out, state, lines), (expected, expected_state, nothing) = results
    assert torch.equal(left_out[0], left_out[1]) and torch.equal(left_out[2], expected[1])
    assert all(torch.equal(state[key], expected_state[key]) for key in expected_state)
    assert lines == [f'iteration 2: the step was left out, for its loss was not finite\n'
                     f'  rank 0: loss {bad}; samples: 1.mp4'] and not nothing


def test_a_loss_whose_gradient_is_finite_is_seen():
    parameter = torch.nn.Parameter(torch.ones(1))
    wrapper, hook = wrap(parameter), NonFiniteStepHook()
    hook.before_train(runner_of(wrapper))
    wrapper.update_params(parameter.sum() + torch.inf)
    assert parameter.item() == 1 and hook.num_left_out == 1


def test_gradients_that_are_added_up_are_left_out_together_with_all_their_samples():
    parameter = torch.nn.Parameter(torch.ones(1))
    runner, values = train(wrap(parameter, accumulative_counts=2), parameter,
                           [torch.nan, 1.0, 1.0, 1.0])
    assert [value.item() for value in values[:3]] == [1, 1, 1] and values[3].item() < 1
    assert [line.splitlines()[1] for line in runner.lines] == [
        '  rank 0: loss nan; samples: 0.mp4, 1.mp4']


def test_each_of_several_optimisers_for_itself():
    one, other = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    wrappers = OptimWrapperDict(one=wrap(one), other=wrap(other))
    NonFiniteStepHook().before_train(runner_of(wrappers))
    wrappers['one'].update_params(one.sum() * torch.nan)
    wrappers['other'].update_params(other.sum())
    assert one.item() == 1 and other.item() < 1


def test_too_many_in_a_row_or_by_share_stop_the_run():
    parameter = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(RunStoppedError, match=r'the last 3 steps were left out.*max_in_a_row=3'):
        train(wrap(parameter), parameter, [torch.nan] * 2 + [1.0] + [torch.nan] * 3,
              NonFiniteStepHook(max_in_a_row=3))
    parameter = torch.nn.Parameter(torch.ones(1))  # the other has gradients yet
    with pytest.raises(RunStoppedError, match=r'3 of 6 steps were left out.*max_share=0.4'):
        train(wrap(parameter), parameter, [1.0, torch.nan] * 5,
              NonFiniteStepHook(max_share=0.4, min_steps=5))
    for wrong in (dict(max_share=2), dict(max_in_a_row=0)):
        with pytest.raises(ValueError, match=f'^{next(iter(wrong))}.* must be'):
            NonFiniteStepHook(**wrong)


def test_long_lists_of_samples_are_cut():
    parameter = torch.nn.Parameter(torch.ones(1))
    runner, _ = train(wrap(parameter, accumulative_counts=3), parameter, [torch.nan] * 3,
                      NonFiniteStepHook(max_listed=1))
    assert runner.lines[0].endswith('samples: 0.mp4 and 2 more')


@pytest.mark.parametrize('do', ['nan_loss', 'infinite_target', 'nan_gradient'])
def test_two_ranks_leave_the_step_of_one_out(do, tmp_path):
    fault = f"custom_hooks=[dict(type='FaultHook', do='{do}', at=2, rank=1)]"
    ranks = TrainingRanks(CONFIG, tmp_path / 'out', fault, 'log_processor.window_size=1')
    assert ranks.wait() == [0, 0], ranks.said()
    [log] = (tmp_path / 'out').glob('*/*.log')
    found = re.search(r'iteration 2: the step was left out, for its (\w+) (?:was|were) not '
                      r'finite\n((?:  rank .*\n)+)', log.read_text())
    lines = found[2].splitlines()
    if do == 'nan_gradient':
        assert found[1] == 'gradients' and len(lines) == 2
        assert lines[0].startswith('  rank 0: samples: ')
    else:
        assert found[1] == 'loss' and len(lines) == 1
        assert re.fullmatch(r'  rank 1: loss (nan|inf); samples: \d+\.mp4, \d+\.mp4', lines[0])
    weights = read_state_dict(tmp_path / 'out/epoch_2.pth')
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.parametrize('clip', ['None', 'dict(max_norm=1.0)'])
def test_two_ranks_with_the_model_in_shards(clip, tmp_path):
    config = tmp_path / 'sharded.py'
    config.write_text(IN_SHARDS)
    ranks = TrainingRanks(config, tmp_path / 'out', f'optim_wrapper.clip_grad={clip}',
                          'train_cfg.max_epochs=1')
    codes = ranks.wait()
    if 'adds the gradients of the ranks up' in ranks.said():
        pytest.skip('FullyShardStrategy refuses gloo of this torch')
    assert codes == [0, 0], ranks.said()
    [log] = (tmp_path / 'out').glob('*/*.log')
    assert log.read_text().count('the step was left out') == 1
    assert re.search(r'iteration 2: .* loss was not finite\n  rank 1: loss nan; samples: \d+, \d+',
                     log.read_text())
    weights = read_state_dict(tmp_path / 'out/iter_4.pth')
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.parametrize('do', ['nan_weight', 'nan_moment'])
def test_no_checkpoint_that_would_be_lost_is_written(do, tmp_path):
    fault = f"custom_hooks=[dict(type='FaultHook', do='{do}', at=6)]"
    ranks = TrainingRanks(CONFIG, tmp_path / 'out', fault)
    assert ranks.wait() == [1, 1], ranks.said()
    assert len(re.findall('error: training stops at iteration', ranks.said())) == 1
    assert 'its checkpoint is not written' in ranks.said(0)
    assert [path.name for path in (tmp_path / 'out').glob('*.pth')] == ['epoch_1.pth']
