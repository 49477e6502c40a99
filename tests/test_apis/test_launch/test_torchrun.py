"""The launcher and its ranks: killed together, and told to stop together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import free_port

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / 'tests/test_engine/test_hooks/faulty_config.py'


def start(folder, *faults):
    hooks = ', '.join(f"dict(type='FaultHook', {fault})" for fault in faults)
    environment = dict(os.environ, PORT=str(free_port()), PYTHONPATH=str(ROOT),
                       CUDA_VISIBLE_DEVICES='',
                       PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    return subprocess.Popen(
        ['bash', ROOT / 'tools/dist_train.sh', CONFIG, '2', '--work-dir', folder, '--cfg-options',
         f'custom_hooks=[{hooks}]', 'train_dataloader.num_workers=1'], cwd=folder.parent,
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(condition, seconds=600):
    for _ in range(10 * seconds):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError('it has not come')


def parents():
    """The parent of every process that is not a zombie."""
    found = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, parent = stat.read_text().rpartition(') ')[2].split()[:2]
        except OSError:  # it has ended
            continue
        if state != 'Z':
            found[int(stat.parent.name)] = int(parent)
    return found


def descendants(process):
    there, found = parents(), {process}
    while new := {child for child, parent in there.items() if parent in found} - found:
        found |= new
    return found - {process}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_all_end_with_a_launcher_that_is_killed(tmp_path):
    folder = tmp_path / 'out'
    launcher = start(folder, "do='touch', at=2")
    try:
        wait_for(lambda: len([*folder.glob('reached_*')]) == 2)
        processes = descendants(launcher.pid)
        assert len(processes) >= 4  # two ranks with a loader's process each
        launcher.kill()
        wait_for(lambda: not processes & parents().keys(), 10)
    finally:
        launcher.kill()
        launcher.communicate()


@pytest.mark.slow
def test_the_launcher_ends_with_the_code_of_its_ranks(tmp_path):
    launcher = start(tmp_path / 'out', "do='term', at=2, rank=1")
    said, _ = launcher.communicate()
    assert launcher.returncode == 85, said
    assert (tmp_path / 'out/iter_2.pth').exists()


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_the_launcher_hands_a_signal_on(number, tmp_path):
    folder = tmp_path / 'out'
    launcher = start(folder, "do='pause', at=4")
    try:
        wait_for(lambda: len([*folder.glob('reached_*')]) == 2)
        launcher.send_signal(number)
    except BaseException:
        launcher.kill()
        raise
    finally:
        said, _ = launcher.communicate()
    assert launcher.returncode == 85, said
    assert (folder / 'iter_4.pth').exists()
