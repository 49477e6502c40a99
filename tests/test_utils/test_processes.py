import hashlib
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.helpers import warm_process
from tvtsv2_mm.utils import processes
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
    ours, theirs = multiprocessing.Pipe()
    parent = warm_process(start_one_that_is_stuck, args=(theirs, ))
    parent.start()
    child = ours.recv()
    assert not has_ended(child, 0)
    parent.kill()
    assert has_ended(child)


def end_with_one_that_has_ended():
    end_with_parent(2**22)  # no process has such a number
    os._exit(7)


def test_a_parent_that_has_ended_before_is_seen():
    process = warm_process(end_with_one_that_has_ended)
    process.start()
    process.join()
    assert process.exitcode == 1


def test_a_process_from_a_server_lives_with_the_one_it_is_for():
    process = warm_process(end_with_parent)
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


@contextmanager
def one_at_work(seconds):
    """Another thread, without Python's lock but for moments."""
    def work():
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            hashlib.pbkdf2_hmac('sha256', b'', b'', 20_000)

    thread = Thread(target=work)
    thread.start()
    yield thread
    thread.join()


def test_a_fork_waits_for_threads_at_work(monkeypatch):
    monkeypatch.setattr(processes, '_REST_SECONDS', 60)
    with one_at_work(0.5) as thread:
        processes._wait_for_threads()
        assert not thread.is_alive()


def test_a_fork_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(processes, '_REST_SECONDS', 0.1)
    with one_at_work(3) as thread:
        processes._wait_for_threads()
        assert thread.is_alive()


def fork_beside_one_at_work():
    processes._REST_SECONDS = 60
    for _ in range(2):
        processes.fork_when_threads_rest()
    with one_at_work(0.5) as thread:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os._exit(7 if thread.is_alive() else os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.version_info >= (3, 12), reason='Python has mended it')
def test_forks_wait():
    process = warm_process(fork_beside_one_at_work)
    process.start()
    process.join()
    assert process.exitcode == 0


KEEPING = '''
import resource, sys
from tvtsv2_mm.utils.processes import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == 'keep' else None
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b'x' * 2**26
before = faults()
for _ in range(8):
    b'x' * 2**26
print(kept, faults() - before)
'''


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='it is about glibc')
def test_freed_memory_is_kept():
    found = {}
    for words, environment in ((['keep'], {}), (['not'], {}),
                               (['keep'], dict(MALLOC_TOP_PAD_='131072'))):
        done = subprocess.run([sys.executable, '-c', KEEPING, *words], cwd=ROOT, check=True,
                              capture_output=True, text=True, env=environment | {
                                  key: value for key, value in os.environ.items()
                                  if not key.startswith(('MALLOC_', 'GLIBC_'))})
        kept, faults = done.stdout.split()
        found[kept] = int(faults)
    # What the environment says holds.
    assert found.keys() == {'True', 'None', 'False'}
    assert found['True'] < 0.2 * min(found['None'], found['False'])


IMPORTS = """
import gc
from tvtsv2_mm.utils.processes import importing
found = []
for _ in range(2):
    with importing():
        assert not gc.isenabled()
        import tvtsv2_mm.apis.features.extract
    assert gc.isenabled()
    found.append(gc.get_freeze_count())
    kept = [[number] for number in range(1000)]
gc.collect()
print(*found, len(gc.get_objects()))
"""


def test_what_is_imported_is_not_looked_through_again():
    done = subprocess.run([sys.executable, '-c', IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second, left = map(int, done.stdout.split())
    # Once: what is made behind the imports may be garbage one day.
    assert first == second > 200_000 > 10 * left
