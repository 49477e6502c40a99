import os
import signal
from pathlib import Path

import pytest
import torch

from tests.helpers import TrainingRanks
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.engine.hooks import PreemptionHook

CONFIG = Path(__file__).with_name('faulty_config.py')


@pytest.mark.parametrize(('world_size', 'do', 'at'), [
    (1, 'term', 4),  # in mid-epoch: of six steps on one rank, three on two
    (2, 'usr1', 3),  # at its end
    (2, 'term', 5)])
def test_all_ranks_save_and_end_and_go_on_as_if_nothing_had_been(world_size, do, at, tmp_path):
    fault = f"custom_hooks=[dict(type='FaultHook', do='{do}', at={at}, rank={world_size - 1})]"
    ranks = TrainingRanks(CONFIG, tmp_path / 'out', fault, world_size=world_size)
    assert ranks.wait() == [85] * world_size, ranks.said()
    assert ranks.said().count('--resume goes on from') == 1
    assert (tmp_path / 'out/last_checkpoint').read_text() == str(tmp_path / f'out/iter_{at}.pth')

    for name, words in dict(out=['--resume'], whole=[]).items():
        ranks = TrainingRanks(CONFIG, tmp_path / name, world_size=world_size, words=words)
        assert ranks.wait() == [0] * world_size, ranks.said()
    one, other = (read_state_dict(tmp_path / name / 'epoch_2.pth') for name in ('out', 'whole'))
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert not (tmp_path / f'out/iter_{at}.pth').exists()  # there is a later one


def test_where_no_step_ends_the_run_ends_without_saving(tmp_path):
    fault = ("custom_hooks=[dict(type='FaultHook', do='term', at=2), "
             "dict(type='FaultHook', do='sleep', at=2)]")
    ranks = TrainingRanks(CONFIG, tmp_path / 'out', fault,
                          'default_hooks.preemption.max_seconds=1', world_size=1)
    assert ranks.wait() == [85]
    assert 'no step ended within 1 s' in ranks.said()
    assert not (tmp_path / 'out/last_checkpoint').exists()


def test_a_second_signal_ends_at_once(monkeypatch):
    hook, sent = PreemptionHook(), []
    hook._process = os.getpid()
    monkeypatch.setattr('os.kill', lambda *args: sent.append(args))
    before = signal.getsignal(signal.SIGTERM)
    try:
        hook._note(signal.SIGTERM, None)
        hook._note(signal.SIGTERM, None)  # handed on by torchrun
        assert not sent
        hook._since -= 6
        hook._note(signal.SIGTERM, None)
        assert sent == [(os.getpid(), signal.SIGTERM)]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
        hook.on_exit(None, None)


def test_a_wrong_argument():
    with pytest.raises(ValueError, match='max_seconds must be positive'):
        PreemptionHook(max_seconds=0)
