import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import WARM
from tvtsv2_mm.utils.processes import end_with_parent, leave_signals_to_parent

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere a thread looks')
STUCK = '''
import ctypes, sys
from tvtsv2_mm.utils.processes import end_with_parent
end_with_parent()
print('here', flush=True)
ctypes.PyDLL(None).sleep(600)  # with Python's lock
'''


def has_ended(process, seconds=30):
    """Whether a process that is nobody's child here ends in time."""
    for _ in range(10 * seconds):
        stat = Path(f'/proc/{process}/stat')
        try:
            if stat.read_text().rpartition(') ')[2][0] == 'Z':
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


def start_one_that_is_stuck(has):
    child = subprocess.Popen([sys.executable, '-c', STUCK], stdout=subprocess.PIPE, cwd=ROOT)
    child.stdout.readline()
    has.send(child.pid)
    signal.pause()


def test_a_process_that_is_stuck_ends_with_its_killed_parent():
    ours, theirs = WARM.Pipe()
    parent = WARM.Process(target=start_one_that_is_stuck, args=(theirs, ))
    parent.start()
    child = ours.recv()
    assert not has_ended(child, 0)
    parent.kill()
    assert has_ended(child)


def end_with_one_that_has_ended():
    end_with_parent(2**22)  # no process has such a number
    os._exit(7)


def test_a_parent_that_has_ended_before_is_seen():
    process = WARM.Process(target=end_with_one_that_has_ended)
    process.start()
    process.join()
    assert process.exitcode == 1


def test_a_process_from_a_server_lives_with_the_one_it_is_for():
    process = WARM.Process(target=end_with_parent)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_a_signal_to_the_whole_job_leaves_a_worker_and_its_parents_ends_it():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        leave_signals_to_parent()
        os.write(writing, b'here')
        time.sleep(60)
        os._exit(3)
    os.read(reading, 4)
    for name in ('TERM', 'USR1'):
        subprocess.run(['sh', '-c', f'kill -{name} {child}'], check=True)
    time.sleep(0.5)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    ended, status = 0, 0
    while not ended:  # a signal that comes while one is waiting is none
        os.kill(child, signal.SIGTERM)
        time.sleep(0.1)
        ended, status = os.waitpid(child, os.WNOHANG)
    assert os.waitstatus_to_exitcode(status) == 0
