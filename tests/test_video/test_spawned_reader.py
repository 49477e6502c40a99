import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.grey_videos import write_grey_video
from tvtsv2_mm.video.errors import UnreadableVideoError
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.spawned_reader import DecodingPool


@pytest.fixture
def pool():
    pool = DecodingPool(1)
    yield pool
    pool.close()


def test_the_same_frames_as_here(tmp_path, pool):
    path = write_grey_video(tmp_path / 'a.mp4', num_frames=12)
    expected = open_video(path).get_frames([0, 5, 11])
    pool.start()
    with pool.opened(path, deadline=20) as reader:
        assert reader.num_frames == 12
        np.testing.assert_array_equal(reader.get_frames([0, 5, 11]), expected)
    data = (tmp_path / 'a.mp4').read_bytes()
    with pool.opened('memory', data=data, deadline=20) as reader:
        np.testing.assert_array_equal(reader.get_frames([0, 5, 11]), expected)

    def look(index):
        with pool.opened(path, deadline=20) as reader:
            return reader.get_frames([index])[0]

    with ThreadPoolExecutor(4) as threads:  # more threads than processes
        frames = list(threads.map(look, [0, 5, 11] * 4))
    np.testing.assert_array_equal(frames, np.concatenate([expected] * 4))


def test_a_crash_costs_one_video(tmp_path, pool):
    path = write_grey_video(tmp_path / 'a.mp4', num_frames=12)
    with pytest.raises(UnreadableVideoError, match='signal SIGKILL'), \
            pool.opened(path, deadline=20) as reader:
        os.kill(pool._processes[0]._child, signal.SIGKILL)
        reader.get_frames([0])
    with pool.opened(path, deadline=20) as reader:
        assert len(reader.get_frames([3])) == 1
    (tmp_path / 'a.mp4').write_bytes(b'x')
    with pytest.raises(UnreadableVideoError), pool.opened(path, deadline=20):
        pass


def test_a_hang_ends_at_the_deadline(tmp_path, pool):
    path = write_grey_video(tmp_path / 'a.mp4', num_frames=12)
    pool.start()
    os.kill(pool._processes[0]._child, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(UnreadableVideoError, match='within the deadline of'), \
            pool.opened(path, deadline=0.1):
        pass
    assert time.monotonic() - begun < 10
    with pool.opened(path, deadline=20) as reader:
        assert reader.num_frames == 12


def test_no_process_stays(tmp_path):
    pool = DecodingPool(1)
    pool.start()
    child = pool._processes[0]._child
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
