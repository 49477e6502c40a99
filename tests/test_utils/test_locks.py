import multiprocessing
import os
import signal

import pytest

from tests.helpers import warm_process
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.locks import is_locked, locked


def hold(folder, has, forked):
    with locked(folder):
        child = os.fork() if forked else None
        if child != 0:
            has.send(child)
        signal.pause()


def test_one_run_at_a_time_and_a_message_that_names_the_other(tmp_path):
    folder = tmp_path / 'new' / 'run'
    assert not is_locked(folder)
    with locked(folder):
        assert is_locked(folder)
        told = rf'writing to {folder} \(process {os.getpid()} on '
        with pytest.raises(UserFileError, match=told):
            locked(folder).__enter__()
    assert not is_locked(folder)
    with locked(folder), locked(tmp_path):
        pass


@pytest.mark.parametrize('forked', [False, True])
def test_a_kill_frees_the_folder_though_children_live_on(tmp_path, forked):
    ours, theirs = multiprocessing.Pipe()
    process = warm_process(hold, args=(tmp_path, theirs, forked))
    process.start()
    child = ours.recv()
    with pytest.raises(UserFileError, match=f'process {process.pid} '):
        locked(tmp_path).__enter__()
    try:
        process.kill()
        with locked(tmp_path, 30):
            pass
    finally:
        if forked:
            os.kill(child, signal.SIGKILL)
