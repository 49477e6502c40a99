from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture(scope='session')
def video_bytes(tmp_path_factory) -> bytes:
    """A real video of 2.5 s."""
    path = tmp_path_factory.mktemp('video') / 'v.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=4, width=32, height=32, pix_fmt='yuv420p')
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * i, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture
def videos(tmp_path, video_bytes) -> Callable[..., Path]:
    """Write the video under each of these names; returns the folder."""

    def write(*names: str) -> Path:
        for name in names:
            path = tmp_path / 'videos' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(video_bytes)
        return tmp_path / 'videos'

    return write
