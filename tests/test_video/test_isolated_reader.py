import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.grey_videos import numbers_of, write_grey_video
from tvtsv2_mm.datasets.transforms import DecodeClip, OpenVideo
from tvtsv2_mm.utils.extras import MissingPackageError
from tvtsv2_mm.video import isolated_reader, opening
from tvtsv2_mm.video.errors import DecodingTimeoutError, UnreadableVideoError
from tvtsv2_mm.video.isolated_reader import DecodingProcess
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.pyav_reader import PyAVReader

VIDEOS = Path(__file__).parents[1] / 'data/videos'


class StuckReader(PyAVReader):
    """Hangs in native code that holds Python's lock and does not listen to SIGTERM."""

    def get_frames(self, indices):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.PyDLL(None).sleep(600)


class CrashingReader(PyAVReader):
    def get_frames(self, indices):
        ctypes.string_at(1)


@pytest.fixture
def grey_video(tmp_path):
    return write_grey_video(tmp_path / 'grey.mp4')


@pytest.fixture
def process():
    process = DecodingProcess()
    yield process
    process.kill()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_same_as_here(process, grey_video):
    here, there = open_video(grey_video), process.open(grey_video, deadline=30)
    assert process._child != os.getpid()
    assert (there.num_frames, there.fps, there.duration, there.size) == (
        here.num_frames, here.fps, here.duration, here.size)
    np.testing.assert_array_equal(there.frame_starts, here.frame_starts)
    np.testing.assert_array_equal(there.get_frames([5, 30]), here.get_frames([5, 30]))
    there.close()


def test_one_process_serves_many_videos(process, grey_video):
    children = set()
    for name in (grey_video, str(VIDEOS / 'part_0.mp4'), grey_video):
        assert len(process.open(name, deadline=30).get_frames([1, 2])) == 2
        children.add(process._child)
    assert len(children) == 1


def test_frames_that_do_not_fit_into_the_shared_memory(grey_video, monkeypatch):
    monkeypatch.setattr(isolated_reader, '_SHARED_BYTES', 4096)
    process = DecodingProcess()
    assert numbers_of(process.open(grey_video, deadline=30).get_frames([3, 9])) == [3, 9]
    process.kill()


def test_frames_given_out_are_copies(process, grey_video):
    video = process.open(grey_video, deadline=30)
    first = video.get_frames([7])
    video.get_frames([20])
    assert numbers_of(first) == [7]


def test_reasons_come_through(process, tmp_path):
    (tmp_path / 'empty.mp4').touch()
    with pytest.raises(UnreadableVideoError, match='the file is empty') as caught:
        process.open(str(tmp_path / 'empty.mp4'), deadline=30)
    assert caught.value.path == str(tmp_path / 'empty.mp4')


def test_a_missing_decoder_comes_through(process, grey_video, monkeypatch):
    monkeypatch.setitem(sys.modules, 'decord', None)
    with pytest.raises(MissingPackageError, match='needs decord'):
        process.open(grey_video, deadline=30, backend='decord')


def test_a_decode_stuck_in_native_code_ends_at_its_deadline(process, grey_video, monkeypatch):
    monkeypatch.setitem(opening._READERS, 'auto', StuckReader)
    video = process.open(grey_video, deadline=2)
    stuck = process._child
    start = time.monotonic()
    with pytest.raises(DecodingTimeoutError, match=r'not decoded within the deadline of 2 s'):
        video.get_frames([0])
    assert time.monotonic() - start < 10
    assert not is_running(stuck)
    # The next video is decoded by a new process.
    monkeypatch.undo()
    assert numbers_of(process.open(grey_video, deadline=30).get_frames([4])) == [4]
    assert process._child != stuck
    with pytest.raises(RuntimeError, match='its process has ended or opened another video'):
        video.get_frames([0])


def test_a_crash_costs_one_sample(process, grey_video, monkeypatch):
    monkeypatch.setitem(opening._READERS, 'auto', CrashingReader)
    video = process.open(grey_video, deadline=30)
    with pytest.raises(UnreadableVideoError, match=r'decoding it crashed \(signal SIGSEGV\)'):
        video.get_frames([0])
    monkeypatch.undo()
    assert numbers_of(process.open(grey_video, deadline=30).get_frames([4])) == [4]


def test_a_copy_in_a_forked_process_gets_a_process_of_its_own(process, grey_video):
    process.open(grey_video, deadline=30).get_frames([0])
    ours = process._child
    reading, writing = os.pipe()
    worker = os.fork()
    if worker == 0:
        numbers = numbers_of(process.open(grey_video, deadline=30).get_frames([12]))
        os.write(writing, f'{process._child} {numbers}'.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(worker, 0)
    theirs, numbers = os.read(reading, 100).decode().split(' ', 1)
    os.close(reading)
    assert (int(theirs) != ours, numbers) == (True, '[12]')
    for _ in range(100):  # it ends with the process it served
        if not is_running(int(theirs)):
            break
        time.sleep(0.05)
    else:
        pytest.fail('the decoding process outlives its worker')
    assert numbers_of(process.open(grey_video, deadline=30).get_frames([13])) == [13]


def test_a_slow_decode_ends_at_its_deadline_without_a_process(grey_video, monkeypatch):
    results = OpenVideo(deadline=5).transform(dict(filename=grey_video))
    clock = iter(np.arange(100) * 1.0)
    monkeypatch.setattr('tvtsv2_mm.video.source.time.monotonic', lambda: next(clock))
    results.update(frame_inds=np.arange(40), num_frames=40)
    with pytest.raises(DecodingTimeoutError, match='deadline of 5 s'):
        DecodeClip().transform(results)
    assert 5 < next(clock) < 10


def test_open_video_in_isolation(grey_video):
    results = OpenVideo(isolate=True, short_side=32).transform(dict(filename=grey_video))
    results.update(frame_inds=np.array([2, 38]), num_frames=2)
    assert numbers_of(DecodeClip().transform(results)['imgs']) == [2, 38]
