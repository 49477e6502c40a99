"""The figures and the result file of a test are those of one process, on any number of them."""

import json
import os
import runpy
import sys
from itertools import product
from pathlib import Path

import pytest

from tests.helpers import run_ranks
from tests.test_tools.protocol_data import (
    CLASSES,
    CONFIGS,
    ROOT,
    SENTENCES,
    make_captions,
    make_recognition,
    save_checkpoint,
    small_options,
    write_jsonl,
)

ZERO_SHOT, RETRIEVAL = 'vit-b16_zero-shot_hmdb51.py', 'own.py'
# Every bank video is one of the five, and the bank has more texts than the hook may take.
OWN = '''
test_evaluator = dict(query_bank='data/msrvtt/annotations/train.jsonl')
bank = dict(
    _base_.test_dataloader, batch_size=2, num_workers=0,
    dataset=dict(_base_.test_dataloader.dataset, ann_file='annotations/train.jsonl'))
custom_hooks = [
    dict(type='QueryBankHook', max_texts=3, video_dataloader=bank), dict(type='ResultFileHook')]
'''


SHARDED = ['runner_type=FlexibleRunner', 'strategy.type=tvtsv2_mm.FullyShardStrategy']


def call_test(name: str, out: str, launcher: str, *more: str) -> None:
    """What a command line calls, in the present folder."""
    config = CONFIGS / name if (CONFIGS / name).is_file() else Path(name)
    options = small_options(str(config.resolve()))
    sys.argv = ['test.py', str(config), f'{config.stem}.pth', '--work-dir', f'{out}/{config.stem}',
                '--launcher', launcher, '--cfg-options', *options, *more]
    runpy.run_path(str(ROOT / 'tools' / 'test.py'), run_name='__main__')


def call_on_rank(rank: int, world_size: int, folder: str) -> None:
    """The same on a rank; its processes find each other already."""
    os.chdir(folder)
    os.environ.update(LOCAL_RANK=str(rank), CUDA_VISIBLE_DEVICES='')
    for name in (ZERO_SHOT, RETRIEVAL):
        call_test(name, 'two', 'pytorch')
        call_test(name, 'sharded', 'pytorch', *SHARDED)


def result_of(folder: Path) -> dict:
    [path] = folder.glob('*/result.json')
    return json.loads(path.read_text())


@pytest.mark.slow
def test_two_ranks_give_the_figures_of_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(sys, 'argv', [])
    make_recognition(tmp_path / 'data' / 'hmdb51', 'train_split1.txt', 'test_split1.txt')
    # The first sample comes again where padding makes the parts of the ranks equal.
    captions = [[SENTENCES[0], 'word ' * 100], SENTENCES[1:2],
                [SENTENCES[2], 'he names letters'], SENTENCES[3:4], SENTENCES[4:]]
    root = tmp_path / 'data' / 'msrvtt'
    paths = make_captions(root, [dict(captions=own) for own in captions])
    write_jsonl(root / 'annotations' / 'train.jsonl', [
        dict(path=path, captions=[f'{word} dog', 'a hand draws' + 100 * ' on'])
        for path, word in zip(paths[:3], ('a', 'one', 'no'), strict=True)])
    base = (CONFIGS / 'vit-b16_retrieval_msrvtt.py').as_posix()
    Path(RETRIEVAL).write_text(f'_base_ = [{base!r}]\n{OWN}')
    save_checkpoint(ZERO_SHOT, tmp_path / f'{Path(ZERO_SHOT).stem}.pth', classes=CLASSES)
    save_checkpoint(base, tmp_path / f'{Path(RETRIEVAL).stem}.pth')

    for name in (ZERO_SHOT, RETRIEVAL):
        call_test(name, 'one', 'none')
    run_ranks(2, call_on_rank, str(tmp_path))
    for name, out in product((ZERO_SHOT, RETRIEVAL), ('two', 'sharded')):
        one, two = (result_of(tmp_path / place / Path(name).stem) for place in ('one', out))
        for group, figures in one.pop('metrics').items():
            assert two['metrics'][group] == pytest.approx(figures, abs=1e-9), (name, out, group)
        del two['metrics']
        assert (one.pop('num_devices'), two.pop('num_devices')) == (1, 2)
        assert one['split']['used'] == 5  # which two ranks cannot share evenly
        for result in (one, two):
            for key in ('config', 'time'):  # the folder and the launcher are in the config
                del result[key]
        assert one == two
    assert result_of(tmp_path / 'two' / 'own')['texts'] == {
        'texts': dict(number=7, cut=1), 'query bank texts': dict(number=3, cut=1)}
    groups = result_of(tmp_path / 'two' / 'own')['metrics']
    assert {group: sorted({key.split('/')[0] for key in figures})
            for group, figures in groups.items()} == {
                group: ['t2v', 'v2t'] for group in ('raw', 'dsl', 'qb')}
