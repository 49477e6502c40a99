"""Where the bytes of a video come from: a file, or memory (a sample of a shard)."""

import io
import os
import time
from dataclasses import dataclass, field

from tvtsv2_mm.video.errors import DecodingTimeoutError, MissingVideoError, UnreadableVideoError

SAMPLE_RATE = 16_000  # of sound as it is given out: samples a second, one channel


@dataclass
class VideoSource:
    """One video and the time there is to decode it.

    Attributes:
        path: A video file; with ``data`` a name for messages.
        data: The bytes of the file, where they are in memory.
        num_threads: Decoding threads. One lets loader workers be the parallelism.
        deadline: Seconds for opening it and getting its frames, waiting for others not counted;
            None sets no limit.
    """

    path: str
    data: bytes | None = None
    num_threads: int = 1
    deadline: float | None = None
    _stop_at: float = field(default=float('inf'), init=False)

    def start_clock(self) -> None:
        """Begin a piece of work (opening, or getting frames) that the deadline is for."""
        if self.deadline is not None:
            self._stop_at = time.monotonic() + self.deadline

    def check_clock(self) -> None:
        """Raise DecodingTimeoutError if the deadline has passed; called between packets."""
        if self.deadline is not None and time.monotonic() > self._stop_at:
            raise DecodingTimeoutError(self.path, self.deadline)

    def check_exists(self) -> None:
        """Look at the file before a decoder does, whose messages are less clear.

        Raises:
            MissingVideoError: If there is no such file.
            UnreadableVideoError: If it is empty.
        """
        if self.data is None and not os.path.isfile(self.path):
            raise MissingVideoError(self.path, 'this is a folder, not a file' if os.path.isdir(
                self.path) else 'there is no such file')
        if not (os.path.getsize(self.path) if self.data is None else self.data):
            raise UnreadableVideoError(self.path, 'the file is empty')

    def open(self) -> str | io.BytesIO:
        """What decoders take: an absolute path, or a file object over the bytes.

        FFmpeg takes the name of a file that has a colon for an address, unless it begins with /.
        """
        if self.data is not None:
            return io.BytesIO(self.data)
        return os.path.join(os.getcwd(), self.path)
