import os
import re
import signal
from pathlib import Path

import pytest

from tests.helpers import TrainingRanks
from tvtsv2_mm.engine.hooks import RankWatchHook

CONFIG = Path(__file__).with_name('faulty_config.py')


def train(tmp_path, *faults, silence=10, options=()):
    hooks = ', '.join(f"dict(type='FaultHook', {fault})" for fault in faults)
    return TrainingRanks(CONFIG, tmp_path / 'out', f'custom_hooks=[{hooks}]',
                         f'default_hooks.rank_watch.max_silence={silence}', *options)


def assert_one_message(ranks, pattern):
    """One line of one rank tells it, and no traceback of another."""
    told = [line for line in ranks.said().splitlines() if 'training stops: ' in line]
    assert len(told) == 1, ranks.said()
    assert re.search(pattern, told[0]), told
    assert 'Traceback' not in ranks.said()


@pytest.mark.parametrize(('rank', 'told'), [
    (1, r'rank 1 \(process PID on .*\) has given no sign of life for .*; it was '),
    (0, 'rank 1 does not reach the store of the ranks'),  # which rank 0 keeps here
], ids=['rank 1', 'rank 0'])
def test_a_rank_that_is_stopped_is_named(rank, told, tmp_path):
    ranks = train(tmp_path, f"do='stop', at=2, rank={rank}", silence=5)
    ranks.processes[1 - rank].join(120)
    assert ranks.processes[1 - rank].exitcode == 1
    stopped = ranks.processes[rank].pid
    assert_one_message(ranks, told.replace('PID', str(stopped)))
    os.kill(stopped, signal.SIGCONT)  # torchrun would kill it
    assert ranks.wait()[rank] == 1


def test_a_rank_that_does_not_come_is_named(tmp_path):
    ranks = train(tmp_path, "do='sleep', at=2, rank=1", silence=5,
                  options=['env_cfg.dist_cfg.timeout=12'])
    assert ranks.wait() == [1, 1]
    assert_one_message(ranks, r'rank 0 has waited for \d+ s in step 2: rank 1 \(process ')
    assert re.search(r"rank 1 is here:\n(.+\n)+ +time\.sleep", ranks.said())


def test_one_rank_watches_nobody(tmp_path):
    with pytest.raises(ValueError, match='max_silence must be positive'):
        RankWatchHook(max_silence=0)
