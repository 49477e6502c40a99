"""Trainings that are watched, by the tools: nothing else differs, and what is told is right."""

import json
import os
import runpy
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.helpers import run_ranks
from tests.test_tools.protocol_data import CONFIGS, ROOT, make_small_shapes
from tests.tiny_model import save_tiny_checkpoint
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.engine.hooks import OutOfTheBoxMonitorHook
from tvtsv2_mm.utils.tokenizer import ClipTokenizer

DRIFT, FIGURE = 'out_of_the_box/text_drift', 'out_of_the_box/zero_shot'
TINY = CONFIGS / 'tiny_pretrain.py'
# All that a config needs.
WATCHED = f"""
_base_ = {str(TINY)!r}
default_hooks = dict(
    checkpoint=dict(interval=1, save_best={FIGURE!r}, rule='greater'),
    out_of_the_box=dict(_base_.motions_check, type='OutOfTheBoxMonitorHook', interval=2))
"""
SHARDED = ['runner_type=FlexibleRunner', 'strategy.type=tvtsv2_mm.FullyShardStrategy']


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """The embedded data, 8 videos of each kind to train on, 12 to test on, and a checkpoint."""
    folder = tmp_path_factory.mktemp('shapes')
    make_small_shapes(folder / 'data', transcript_videos=(8, 4))
    save_tiny_checkpoint(folder / 'tiny.pth')
    (folder / 'watched.py').write_text(WATCHED)
    return folder


def options(shapes, *more):
    """Two epochs of two batches of transcripts and one of captions, each of four clips."""
    return ['--seed', '0', '--cfg-options', f'data_root={shapes}/data',
            f'load_from={shapes}/tiny.pth', 'train_dataloader.batch_size=4',
            'train_cfg.max_epochs=2', 'train_cfg.val_interval=1',
            'default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.max_keep_ckpts=-1',
            *(f'train_dataloader.dataset.datasets.{k}.times=1' for k in range(2)), *more]


def told_in(folder):
    """What the visualizer wrote down of the last run: iteration and figures."""
    lines = max(Path(folder).glob('*/vis_data/scalars.json')).read_text().splitlines()
    return {line['step']: {name: line[name] for name in (DRIFT, FIGURE) if name in line}
            for line in map(json.loads, lines) if DRIFT in line}


@pytest.mark.slow
def test_the_weights_are_those_of_a_run_that_is_not_watched(run, shapes):
    run('train', TINY, '--work-dir', 'plain', *options(shapes))
    run('train', shapes / 'watched.py', '--work-dir', 'out', *options(shapes))
    for number in (1, 2):
        plain, watched = (torch.load(f'{folder}/epoch_{number}.pth', weights_only=False)
                          for folder in ('plain', 'out'))
        assert plain['state_dict'].keys() == watched['state_dict'].keys()
        for name, value in plain['state_dict'].items():
            assert torch.equal(watched['state_dict'][name], value), name
        states = [x['optimizer']['state'] for x in (plain, watched)]
        assert all(torch.equal(states[1][key]['exp_avg'], value['exp_avg'])
                   for key, value in states[0].items())

    told = told_in('out')
    iterations = torch.load('out/epoch_2.pth', weights_only=False)['meta']['iter']
    assert [*told] == sorted({0, iterations // 2, iterations, *range(0, iterations, 2)})
    drifts = [found[DRIFT] for found in told.values()]
    assert drifts[0] == 0 and drifts == sorted(drifts) and drifts[-1] > 0
    # As anybody would measure it.
    tokens, embeds = ClipTokenizer(32)(OutOfTheBoxMonitorHook().texts), []
    for checkpoint in (shapes / 'tiny.pth', 'out/epoch_2.pth'):
        infer = TVTSv2Inferencer(str(TINY), str(checkpoint), device='cpu', show_progress=False)
        with torch.no_grad():
            embeds.append(infer.model.neck(tokens))
    expected = 1 - F.cosine_similarity(*embeds).mean().item()
    assert drifts[-1] == pytest.approx(expected, abs=1e-5)
    tested = run('test', CONFIGS / 'tiny_zero-shot.py', 'out/epoch_2.pth', '--cfg-options',
                 f'data_root={shapes}/data')
    assert told[iterations][FIGURE] == pytest.approx(
        tested.message_hub.log_scalars['test/acc/top1'].current())
    figures = [told[iterations // 2][FIGURE], told[iterations][FIGURE]]
    best = 1 + (figures[1] > figures[0])
    assert Path(f'out/best_out_of_the_box_zero_shot_epoch_{best}.pth').is_file()

    # A run that goes on says what the whole one said.
    Path('parts').mkdir()
    Path('parts/epoch_1.pth').write_bytes(Path('out/epoch_1.pth').read_bytes())
    run('train', shapes / 'watched.py', '--work-dir', 'parts', '--resume', 'parts/epoch_1.pth',
        *(word for word in options(shapes) if 'load_from' not in word))
    assert told_in('parts') == {
        step: found for step, found in told.items() if step > iterations // 2}


def test_what_is_frozen_does_not_drift_and_adapters_do(run, shapes):
    run('train', shapes / 'watched.py', '--work-dir', 'frozen', *options(
        shapes, 'model.neck.frozen=True', 'optim_wrapper.paramwise_cfg=None'))
    assert {found[DRIFT] for found in told_in('frozen').values()} == {0.0}
    run('train', shapes / 'watched.py', '--work-dir', 'adapted', *options(
        shapes, 'model.neck.lora=dict(rank=2)', 'optim_wrapper.paramwise_cfg=None',
        'train_cfg.max_epochs=1'))
    drifts = [found[DRIFT] for found in told_in('adapted').values()]
    assert drifts[0] == 0 < drifts[-1]


def train_on_rank(rank, world_size, words):
    os.environ.update(LOCAL_RANK=str(rank), CUDA_VISIBLE_DEVICES='')
    sys.argv = ['train.py', *words]
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')


@pytest.mark.slow
def test_two_ranks_say_what_one_says(run, shapes, tmp_path):
    average = "custom_hooks=[dict(type='EMAHook', momentum=0.25)]"
    words = [str(shapes / 'watched.py'), '--work-dir']
    run('train', *words, 'one', *options(shapes, average))
    one = told_in('one')
    assert max(found[DRIFT] for found in one.values()) > 0
    for folder, more in (
            ('two', ['train_cfg.max_epochs=1']), ('sharded', [*SHARDED, 'train_cfg.max_epochs=1']),
            ('resumed', [*SHARDED, 'strategy.gather_once=True', 'resume=True',
                         f'load_from={tmp_path}/sharded/epoch_1.pth'])):
        run_ranks(2, train_on_rank, [
            *words, str(tmp_path / folder), '--launcher', 'pytorch', *options(shapes, average),
            'train_dataloader.batch_size=2', *more])
        other = told_in(folder)
        assert [*other] == ([4, 6] if folder == 'resumed' else [0, 2, 3])
        for step, found in other.items():
            assert found == pytest.approx(one[step], abs=1e-5), (folder, step)
    assert len([*Path('resumed').glob('best_out_of_the_box_zero_shot_epoch_*')]) < 2
