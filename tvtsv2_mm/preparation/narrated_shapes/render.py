"""Events to pixels, pixels to H.264."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from tvtsv2_mm.preparation.narrated_shapes.events import Event
from tvtsv2_mm.preparation.narrated_shapes.vocabulary import COLOURS
from tvtsv2_mm.utils.extras import needed_for


def _signed_distance(shape: str, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Distance to the outline in pixels, negative inside. All of the same area for a radius."""
    if shape == 'circle':
        return np.hypot(x, y) - radius
    if shape == 'square':
        return np.maximum(np.abs(x), np.abs(y)) - 0.89 * radius
    # Triangle, tip up: the largest of the distances to its three sides.
    slope = np.sqrt(3.0) / 2.0
    side = 0.5 * -y + slope * np.abs(x)
    return np.maximum(side, y) - 0.78 * radius


def render_frames(rng: np.random.Generator, events: Sequence[Event], *, size: int,
                  fps: float) -> np.ndarray:
    """Render events on a dim background with a slow gradient.

    Args:
        rng: Draws the background.
        events: In order of time, without gaps.
        size: Side of the square frame in pixels (even, for 4:2:0).
        fps: Frames per second; frame ``i`` shows the instant ``(i + 0.5) / fps``.

    Returns:
        uint8 (T, size, size, 3) RGB with T = round(duration * fps).
    """
    seconds = (np.arange(round(events[-1].end * fps)) + 0.5) / fps
    axis = np.arange(size) + 0.5
    tint, slope = rng.uniform(45, 65) + rng.normal(0, 3, 3), rng.uniform(-8, 8, 2)
    ramp = (slope[0] * axis[None, :] + slope[1] * axis[:, None]) / size
    background = tint + ramp[..., None] + rng.normal(0, 2, (size, size, 3))
    frames = np.empty((len(seconds), size, size, 3), np.uint8)
    which = np.searchsorted([e.end for e in events], seconds, side='right')
    for number, event in enumerate(events):
        inside = np.flatnonzero(np.minimum(which, len(events) - 1) == number)
        x, y, radius = (size * v[:, None, None] for v in event.placement(seconds[inside]))
        distance = _signed_distance(event.shape, axis[None, None, :] - x, axis[None, :, None] - y,
                                    radius)
        cover = np.clip(0.5 - distance, 0.0, 1.0)[..., None]
        colour = np.asarray(COLOURS[event.colour], float)
        frames[inside] = np.clip(cover * colour + (1 - cover) * background, 0, 255).astype(np.uint8)
    return frames


def write_video(path: Path, frames: np.ndarray, *, fps: float) -> None:
    """Write frames (T, H, W, 3) uint8 RGB as H.264 mp4; the same frames give the same bytes.

    The muxer's ``bitexact`` flag keeps the date out, one encoder thread races. 'ultrafast' is not
    for speed alone: with x264's lookahead ("mbtree"), the bytes of so small frames vary by chance.
    """
    with needed_for('writing videos'):
        import av

    from tvtsv2_mm.video.frame_pixels import IN_ONE_THREAD

    path.parent.mkdir(parents=True, exist_ok=True)
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), 'w', format='mp4', options={'fflags': '+bitexact'}) as container:
        stream = container.add_stream('libx264', rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.thread_count = 1
        stream.options = {'preset': 'ultrafast', 'crf': '18'}
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
            container.mux(stream.encode(frame.reformat(format='yuv420p', **IN_ONE_THREAD)))
        container.mux(stream.encode())
