"""One of two ranks falls ill: all end with one message in a known time, and go on afterwards."""

import random
import re
import signal
from pathlib import Path

import pytest

from tests.faults.record import cases, record
from tests.faults.trainings import assert_same, content_of
from tests.helpers import TrainingRanks
from tvtsv2_mm.checkpoints.whole import check_whole

pytestmark = pytest.mark.faults

CONFIG = Path(__file__).parents[1] / 'test_engine' / 'test_hooks' / 'faulty_config.py'
_SILENCE = 5  # seconds that a rank may give no sign
_BOUND = 60  # seconds from the start to the end of all ranks
_STEPS = 6
# What a rank brings upon itself; what the others, or it, tell in one line.
FAULTS = {
    'killed': ('kill', r'training stops: rank \d .* has gone \(killed, or out of memory\?\)|'
                       r'training stops: rank \d does not reach the store'),
    'stopped (SIGSTOP)': ('stop', r'training stops: rank \d .* has given no sign of life|'
                                  r'training stops: rank \d does not reach the store'),
    'out of memory': ('out_of_memory', r'^torch\.OutOfMemoryError: '),
    'without room for a checkpoint': ('full_disk', r'error: .*epoch_1\.pth could not be written: '),
    'with an error in its data': ('data_error', r'^ValueError: a fault of the data'),
}


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a fault."""
    folder = tmp_path_factory.mktemp('ranks') / 'whole'
    ranks = TrainingRanks(CONFIG, folder)
    assert ranks.wait() == [0, 0], ranks.said()
    return folder


@pytest.mark.parametrize('fault', FAULTS)
def test_all_ranks_end_with_one_message(fault, whole, tmp_path):
    do, pattern = FAULTS[fault]
    draw = random.Random(fault)
    counts = dict(injected=0, survived=0, lost=0)
    failures = []
    for number in range(cases(1)):
        folder = tmp_path / str(number)
        # Only rank 0 writes; what it writes next is the checkpoint after step 3.
        rank, step = (0, 2) if do == 'full_disk' else (draw.randrange(2), draw.randint(1, _STEPS))
        counts['injected'] += 1
        ranks = TrainingRanks(
            CONFIG, folder, f"custom_hooks=[dict(type='FaultHook', do='{do}', at={step}, "
            f"rank={rank})]", f'default_hooks.rank_watch.max_silence={_SILENCE}')
        try:
            ranks.processes[1 - rank].join(_BOUND)
            others = ranks.processes[1 - rank].exitcode
            if do == 'stop':
                ranks.processes[rank].kill()  # as a launcher does
            codes = ranks.wait(_BOUND)
            assert others and codes[rank] in (1, -signal.SIGKILL), codes
            told = [line for line in ranks.said().splitlines() if re.search(pattern, line)]
            assert len(told) == 1, ranks.said()
            assert ranks.said().count('Traceback') == (do in ('out_of_memory', 'data_error'))
            for path in folder.glob('*.pth'):
                check_whole(path)
            again = TrainingRanks(CONFIG, folder, words=['--resume'])
            assert again.wait() == [0, 0], again.said()
            assert_same(*(content_of(run / 'epoch_2.pth') for run in (folder, whole)))
            counts['survived'] += 1
        except AssertionError as error:
            failures.append(f'rank {rank}, step {step}: {error}')
            counts['lost'] += 1
    assert not failures, '\n'.join(failures)
    record('ranks', f'one of two ranks {fault}', **counts)
