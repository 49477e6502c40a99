"""Decoding in a process of its own, which can be killed: native code cannot be stopped otherwise.

Each loader worker has one such process. Opening and decoding happen there; frames come back through
memory that both share, so that the way costs one copy of them.
"""

import contextlib
import gc
import math
import mmap
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any, NoReturn

import numpy as np

from tvtsv2_mm.utils.extras import MissingPackageError, needed_for
from tvtsv2_mm.utils.processes import STOP_SIGNALS, end_with_parent
from tvtsv2_mm.video.base_reader import BLOCK, VideoReader
from tvtsv2_mm.video.errors import DecodingTimeoutError, SampleError, UnreadableVideoError
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.source import VideoSource

# Shared memory for the frames of a clip; only what is used of it is ever taken from the machine.
_SHARED_BYTES = 256 * 2**20

# A reader that watches the clock itself stops at the deadline; one that is stuck, this much later.
_GRACE_SECONDS = 1.0


class DecodingProcess:
    """Opens and decodes videos, one at a time, in a child of this process.

    The child is forked when it is first needed, again after it was killed, and once in each process
    that a copy of this object gets to; it ends with its parent.
    """

    _child: int
    _connection: Connection
    shared: mmap.mmap

    def __init__(self) -> None:
        self._parent: int | None = None  # the process whose child it is; None without one
        self._num_opened = 0

    def open(self, path: str, *, deadline: float | None, **options: Any) -> 'IsolatedReader':
        """Like :func:`~tvtsv2_mm.video.opening.open_video`, over there.

        Raises:
            DecodingTimeoutError: At the deadline.
            UnreadableVideoError: If it cannot be read, or reading it crashed.
        """
        self._num_opened += 1
        times = self.call(path, deadline, 'open', dict(path=path, deadline=deadline, **options))
        return IsolatedReader(self, path, deadline, self._num_opened, times)

    def read_sound(self, path: str, *, deadline: float | None) -> Iterator[np.ndarray]:
        """Like :func:`~tvtsv2_mm.video.sound.read_sound`, over there; raises as :meth:`open`.

        Args:
            path: A video file.
            deadline: Seconds for each block.
        """
        self._num_opened += 1
        number = self._num_opened
        block = self.call(path, deadline, 'open_sound', dict(path=path, deadline=deadline))
        while block is not None:
            yield block
            if not self.is_current(number):
                raise RuntimeError(f'{path}: its process has ended or opened another video')
            block = self.call(path, deadline, 'next_sound', None)

    def call(self, path: str, deadline: float | None, name: str, argument: Any) -> Any:
        """Have something done for a video, see ``_answer_requests``; raises as :meth:`open`."""
        if self._parent != os.getpid():
            self._fork()
        try:
            self._connection.send((name, argument))
            if deadline is not None and not self._connection.poll(deadline + _GRACE_SECONDS):
                self.kill()
                raise DecodingTimeoutError(path, deadline)
            result = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            status = self.kill()
            raise UnreadableVideoError(
                path, f'decoding it crashed ({_how_it_ended(status)})') from error
        if isinstance(result, SampleError | MissingPackageError):
            raise result
        if isinstance(result, RuntimeError):
            raise RuntimeError(f'{path}: decoding failed in its process: {result}')
        return result

    def is_current(self, number: int) -> bool:
        """Whether no other video was opened since the one with this number, nor the child ended."""
        return self._parent == os.getpid() and number == self._num_opened

    def _fork(self) -> None:
        self._connection, theirs = Pipe()
        self.shared = mmap.mmap(-1, _SHARED_BYTES)
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _serve(theirs, self.shared, parent)
        theirs.close()
        self._parent, self._child = parent, child

    def kill(self) -> int | None:
        """End the child whatever it does.

        Returns:
            Its wait status; None if it does not end even so (waiting for a dead disk).
        """
        if self._parent != os.getpid():
            return None
        os.kill(self._child, signal.SIGKILL)
        self._connection.close()
        self._parent = None
        for _ in range(100):
            ended, status = os.waitpid(self._child, os.WNOHANG)
            if ended:
                return status
            time.sleep(0.01)
        return None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.kill()

    def __reduce__(self) -> tuple:
        return DecodingProcess, ()


class IsolatedReader(VideoReader):
    """A video that is open in a :class:`DecodingProcess`, as the ``number``-th that it opened.

    ``times`` are the frame_starts, fps and duration of :class:`VideoReader`.
    """

    def __init__(self, process: DecodingProcess, path: str, deadline: float | None, number: int,
                 times: tuple[np.ndarray, float, float]) -> None:
        super().__init__(path, *times)
        self._process = process
        self._deadline = deadline
        self._number = number

    def get_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """See :meth:`VideoReader.get_frames`."""
        frames = self._ask('get_frames', np.asarray(indices))
        self.size = frames.shape[1], frames.shape[2]
        return frames

    def stream_frames(self, indices: np.ndarray, block: int = BLOCK) -> Iterator[np.ndarray]:
        """See :meth:`VideoReader.stream_frames`."""
        frames = self._ask('stream_frames', (indices, block))
        while frames is not None:
            yield frames
            frames = self._ask('next_frames', None)

    def _ask(self, name: str, argument: Any) -> Any:
        if not self._process.is_current(self._number):
            raise RuntimeError(f'{self.path}: its process has ended or opened another video')
        frames = self._process.call(self.path, self._deadline, name, argument)
        if isinstance(frames, tuple):  # the shape of what lies in the shared memory
            frames = _frames_in(self._process.shared, frames).copy()
        return frames

    def close(self) -> None:
        """Free the decoder over there."""
        if self._process.is_current(self._number):
            self._process.call(self.path, self._deadline, 'close', None)


def _serve(connection: Connection, shared: mmap.mmap, parent: int) -> NoReturn:
    """The child: answer requests until the parent is gone."""
    try:
        # What is inherited is never freed: a decoder of the parent would wait for its threads,
        # which are not here.
        gc.freeze()
        # A job that is told to stop as a whole decodes until its ranks have saved.
        for number in (signal.SIGINT, *STOP_SIGNALS):
            signal.signal(number, signal.SIG_IGN)
        # Others wait for the parent's files to be closed, which an heir would hold open.
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, os.sysconf('SC_OPEN_MAX'))
        end_with_parent(parent)
        _answer_requests(connection, shared)
    finally:
        # Neither the parent's buffers nor its exit handlers are this process's.
        os._exit(0)


def _answer_requests(connection: Connection, shared: mmap.mmap) -> None:
    """'open', 'get_frames', 'stream_frames', 'next_frames' (None behind the last) and 'close'.

    Of sound 'open_sound', which gives the first block, and 'next_sound' (None behind the last).
    """
    video: Any = None
    stream: Iterator[np.ndarray] = iter(())
    while True:
        try:
            name, argument = connection.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            if name == 'get_frames':
                answer = _share(video.get_frames(argument), shared)
            elif name in ('stream_frames', 'next_frames'):
                if name == 'stream_frames':
                    stream = video.stream_frames(*argument)
                frames = next(stream, None)
                answer = None if frames is None else _share(frames, shared)
            elif name in ('open_sound', 'next_sound'):
                if name == 'open_sound':
                    stream = _sound_of(**argument)
                answer = next(stream, None)
            elif video is not None:  # another one will be opened, or none
                video.close()
                video = None
            if name == 'open':
                video = open_video(**argument)
                answer = video.frame_starts, video.fps, video.duration
        except (SampleError, MissingPackageError) as error:
            answer = error
        except Exception as error:
            answer = RuntimeError(f'{type(error).__name__}: {error}')
        connection.send(answer)


def _sound_of(**argument: Any) -> Iterator[np.ndarray]:
    with needed_for('reading the sound of videos'):
        from tvtsv2_mm.video.sound import read_sound
    return read_sound(VideoSource(**argument))


def _share(frames: np.ndarray, shared: mmap.mmap) -> tuple[int, ...] | np.ndarray:
    """Put frames into the shared memory and say their shape, or give them back if too large."""
    if frames.nbytes > len(shared):
        return frames
    _frames_in(shared, frames.shape)[...] = frames
    return frames.shape


def _frames_in(shared: mmap.mmap, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(shared, np.uint8, math.prod(shape)).reshape(shape)


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return 'its process does not end'
    code = os.waitstatus_to_exitcode(status)
    return f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'
