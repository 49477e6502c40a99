"""Other ranks, other data, another release, two runs in one folder: a run goes on, or is told."""

import time
from pathlib import Path

import pytest

from tests.faults.record import record
from tests.faults.trainings import assert_same, content_of
from tests.helpers import TrainingRanks
from tvtsv2_mm.checkpoints.untrusted import load_torch_file
from tvtsv2_mm.checkpoints.whole import save_whole

pytestmark = pytest.mark.faults

CONFIG = Path(__file__).parents[1] / 'test_engine' / 'test_hooks' / 'faulty_config.py'
LONGER = 'train_dataloader.dataset.size=16'
# The checkpoint of two ranks, whose epoch has three steps; ranks that go on; what else has changed;
# what is told, or None where the run goes on.
CASES = {
    'in mid-epoch, as before': (2, 2, None, None),
    'in mid-epoch, on another number of ranks': (2, 1, None, 'ranks: 2 in the checkpoint, 1 now'),
    'in mid-epoch, on other data': (2, 2, LONGER, 'batches: 3 in the checkpoint, 4 now'),
    'in mid-epoch, on data in the order of another release':
        (2, 2, 'release', 'the data of the checkpoint are in the order of version 2'),
    'at the end of an epoch, on another number of ranks': (3, 1, None, None),
    'at the end of an epoch, on other data': (3, 2, LONGER, None),
}


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two ranks, each of whose steps has its checkpoint."""
    folder = tmp_path_factory.mktemp('resuming') / 'whole'
    ranks = TrainingRanks(CONFIG, folder, 'default_hooks.checkpoint.by_epoch=False',
                          'default_hooks.checkpoint.max_keep_ckpts=-1')
    assert ranks.wait() == [0, 0], ranks.said()
    return folder


@pytest.mark.parametrize('case', CASES)
def test_a_run_goes_on_where_it_is_exact_and_is_told_where_not(case, whole, tmp_path):
    step, world_size, change, message = CASES[case]
    checkpoint = whole / f'iter_{step}.pth'
    options = [] if change is None else [change]
    if change == 'release':
        content, options = load_torch_file(checkpoint), []
        content['data_position']['version'] = 2
        checkpoint = tmp_path / 'other.pth'
        save_whole(content, checkpoint)
    ranks = TrainingRanks(CONFIG, tmp_path / 'out', *options, world_size=world_size,
                          words=['--resume', str(checkpoint)])
    codes = ranks.wait()
    if message is None:
        assert codes == [0] * world_size, ranks.said()
        last = content_of(tmp_path / 'out' / 'epoch_2.pth')
        if world_size == 2 and change is None:
            assert_same(last, content_of(whole / 'iter_6.pth'))
        record('resuming', case, injected=1, survived=1)
        return
    assert codes == [1] * world_size, ranks.said()
    told = [line for line in ranks.said().splitlines() if message in line]
    assert len(told) == 1 and told[0].startswith('error: '), ranks.said()
    assert 'Traceback' not in ranks.said()
    assert not [*(tmp_path / 'out').glob('*.pth')]
    record('resuming', case, injected=1, refused=1)


def test_two_runs_in_one_folder(tmp_path):
    """The second is told, and nothing of the first is changed: it goes on as if alone."""
    whole, folder = tmp_path / 'whole', tmp_path / 'out'
    assert TrainingRanks(CONFIG, whole, world_size=1).wait() == [0]
    first = TrainingRanks(CONFIG, folder, "custom_hooks=[dict(type='FaultHook', do='touch', at=8)]",
                          world_size=1)
    while not (folder / 'reached_0').exists():
        assert first.processes[0].is_alive(), first.said()
        time.sleep(0.05)
    second = TrainingRanks(CONFIG, folder, world_size=1)
    assert second.wait() == [1], second.said()
    assert f'error: another run is writing to {folder} (process ' in second.said()
    first.kill()
    third = TrainingRanks(CONFIG, folder, world_size=1, words=['--resume'])
    assert third.wait() == [0], third.said()
    assert_same(content_of(folder / 'epoch_2.pth'), content_of(whole / 'epoch_2.pth'))
    record('resuming', 'two runs in one work folder', injected=1, refused=1)
