"""Which frames of a video make a clip: pure functions on indices and seconds."""

import numpy as np


def interval_edges(start: int, stop: int, num_frames: int) -> np.ndarray:
    """Edges of the equal intervals that the frames ``start`` .. ``stop - 1`` are cut in.

    There are never more intervals than frames, so that no interval is empty.

    Args:
        start: First frame.
        stop: One past the last frame.
        num_frames: Number of intervals wanted.

    Returns:
        int64 array (N + 1,), N = min(num_frames, stop - start): interval i holds the frames
        ``edges[i]`` .. ``edges[i + 1] - 1``.

    Raises:
        ValueError: If there is no frame, or none is wanted.

    Examples:
        >>> interval_edges(0, 10, 4).tolist()
        [0, 2, 5, 7, 10]
        >>> interval_edges(100, 103, 12).tolist()
        [100, 101, 102, 103]
    """
    if num_frames < 1:
        raise ValueError(f'num_frames must be at least 1, got {num_frames}')
    if not 0 <= start < stop:
        raise ValueError(f'no frames between start={start} and stop={stop}')
    num_intervals = min(num_frames, stop - start)
    offsets = np.linspace(0, stop - start, num_intervals + 1).astype(np.int64)
    return start + offsets


def middle_frames(start: int, stop: int, num_frames: int) -> np.ndarray:
    """The middle frame of each interval (the earlier of two middle ones): for evaluation.

    Returns:
        int64 array (N,), N = min(num_frames, stop - start), increasing.

    Examples:
        >>> middle_frames(0, 30, 3).tolist()
        [4, 14, 24]
        >>> middle_frames(0, 2, 3).tolist()
        [0, 1]
    """
    edges = interval_edges(start, stop, num_frames)
    return edges[:-1] + (np.diff(edges) - 1) // 2


def clip_frames(start: int, stop: int, num_frames: int, num_clips: int) -> np.ndarray:
    """Frames of several clips that see the same part of a video a little earlier and later.

    Clip c of C takes of each interval the frame at (c + 1/2) / C of it: one clip has the middle
    frames. With fewer frames than asked the last one is repeated, in each clip.

    Returns:
        int64 array (num_clips, num_frames).

    Examples:
        >>> clip_frames(0, 30, 3, 2).tolist()
        [[2, 12, 22], [7, 17, 27]]
        >>> clip_frames(0, 30, 3, 1).tolist() == [middle_frames(0, 30, 3).tolist()]
        True
        >>> clip_frames(0, 2, 3, 2).tolist()
        [[0, 1, 1], [0, 1, 1]]
    """
    edges = interval_edges(start, stop, num_frames)
    parts = 2 * np.arange(num_clips)[:, None] + 1
    clips = edges[:-1] + (parts * np.diff(edges) - 1) // (2 * num_clips)
    return np.pad(clips, ((0, 0), (0, num_frames - clips.shape[1])), mode='edge')


def random_frames(start: int, stop: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """One random frame of each interval: for training.

    Returns:
        int64 array (N,), N = min(num_frames, stop - start), increasing.

    Examples:
        >>> frames = random_frames(0, 30, 3, np.random.default_rng(0))
        >>> (frames // 10).tolist()
        [0, 1, 2]
    """
    edges = interval_edges(start, stop, num_frames)
    return rng.integers(edges[:-1], edges[1:])


def frames_of_span(frame_starts: np.ndarray, span: tuple[float, float]) -> tuple[int, int]:
    """The frames that begin inside a span of time; if there are none, the one shown at its start.

    Exact for variable frame rates too, since it looks at the time of every frame.

    Args:
        frame_starts: (N,) seconds at which each frame begins to be shown, increasing.
        span: ``(start, end)`` in seconds: frames with start <= t < end are meant.

    Returns:
        ``(first, stop)``, frame indices, ``first < stop``.

    Examples:
        At 4 frames a second, the half second from 0.5 s on has the frames at 0.5 and 0.75 s:

        >>> frames_of_span(np.arange(8) / 4, (0.5, 1.0))
        (2, 4)

        A span between two frames shows the earlier one:

        >>> frames_of_span(np.array([0.0, 5.0]), (1.0, 2.0))
        (0, 1)
    """
    first, stop = (int(i) for i in np.searchsorted(frame_starts, span))
    if first == stop:
        first = max(stop - 1, 0)
        stop = first + 1
    return first, stop
