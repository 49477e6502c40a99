"""Videos whose frames tell their own number: frame i is grey, of level ``LEVEL_STEP * i``."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LEVEL_STEP = 6


def write_grey_video(path: Path, *, num_frames: int = 40, fps: int = 10, size: tuple = (64, 64),
                     codec: str = 'libx264', gop: int = 10, times: list[float] | None = None,
                     ticks: int = 1000, options: dict | None = None,
                     codec_options: dict | None = None,
                     pictures: list[np.ndarray] | None = None,
                     pixel_format: str = 'yuv420p', pixel_aspect: Fraction | None = None) -> str:
    """Write (at most 42 frames); ``times`` in seconds make the frame rate variable.

    They are rounded to 1 / ``ticks``. ``pictures``, uint8 (height, width, 3), take the place of the
    grey ones. A pixel is ``pixel_aspect`` times as wide as high.
    """
    height, width = size
    with av.open(str(path), 'w', options=options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = height, width, pixel_format
        if pixel_aspect is not None:
            stream.sample_aspect_ratio = pixel_aspect
        stream.gop_size, stream.bit_rate = gop, 4_000_000
        if codec == 'libx264':
            stream.options = {'crf': '10', 'bf': '2', 'sc_threshold': '0', 'keyint_min': str(gop)}
        stream.options = dict(stream.options) | (codec_options or {})
        if times is not None:
            stream.codec_context.time_base = Fraction(1, ticks)
        for i in range(num_frames):
            pixels = (np.full((height, width, 3), LEVEL_STEP * i, np.uint8) if pictures is None
                      else pictures[i])
            frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
            if times is not None:
                frame.pts, frame.time_base = round(times[i] * ticks), Fraction(1, ticks)
            else:
                frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def cut_start(source: str, target: Path, seconds: float) -> str:
    """Cut without encoding again, as ``ffmpeg -ss -c copy`` does: hidden frames stay before 0."""
    with (av.open(source) as old,
          av.open(str(target), 'w', options={'avoid_negative_ts': 'disabled'}) as new):
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        shift = int(seconds / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is None:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = copy
            new.mux(packet)
    return str(target)


def numbers_of(frames: np.ndarray) -> list[int]:
    """The numbers that frames (N, H, W, 3) tell."""
    return np.rint(frames.mean(axis=(1, 2, 3)) / LEVEL_STEP).astype(int).tolist()
