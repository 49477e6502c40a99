"""Which frames of a video make a clip: pure functions on indices and seconds.

A part of a video is the frames ``start`` .. ``stop - 1``, of which ``num_frames`` are wanted.
"""

import numpy as np

from tvtsv2_mm.choices import FRAMES

_USUAL_FRAMES = 12  # of a clip, in the paper
_ROUNDING = 1e-6  # seconds that computed times may be off


def interval_edges(start: int, stop: int, num_frames: int) -> np.ndarray:
    """Edges of the equal intervals that a part is cut in, one for each frame that is wanted.

    There are never more intervals than frames, so that no interval is empty.

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


def clip_frames(start: int, stop: int, num_frames: int, num_clips: int) -> np.ndarray:
    """Frames of several clips that see the same part of a video a little earlier and later.

    Clip c of C takes of each interval the frame at (c + 1/2) / C of it: one clip has the middle
    frames (the earlier of two), for evaluation.

    Returns:
        int64 array (num_clips, N), N = min(num_frames, stop - start), each row increasing.

    Examples:
        >>> clip_frames(0, 30, 3, 1).tolist()
        [[4, 14, 24]]
        >>> clip_frames(0, 30, 3, 2).tolist()
        [[2, 12, 22], [7, 17, 27]]
        >>> clip_frames(0, 2, 3, 2).tolist()
        [[0, 1], [0, 1]]
    """
    edges = interval_edges(start, stop, num_frames)
    parts = 2 * np.arange(num_clips)[:, None] + 1
    return edges[:-1] + (parts * np.diff(edges) - 1) // (2 * num_clips)


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


def end_to_end_frames(start: int, stop: int, num_frames: int) -> np.ndarray:
    """Frames from the first to the last one, both among them: the release's feature script.

    Of fewer frames than asked some come several times.

    Returns:
        int64 array (num_frames,), not decreasing.

    Examples:
        >>> end_to_end_frames(0, 50, 12).tolist()
        [0, 4, 8, 13, 17, 22, 26, 31, 35, 40, 44, 49]
        >>> end_to_end_frames(0, 2, 3).tolist()
        [0, 0, 1]
    """
    if num_frames < 1 or not 0 <= start < stop:
        raise ValueError(f'no {num_frames} frames between start={start} and stop={stop}')
    return start + np.linspace(0, stop - 1 - start, num_frames).astype(np.int64)


def windows_of(duration: float, seconds: float, stride: float) -> np.ndarray:
    """Windows over a whole video: each begins ``stride`` seconds behind the one before it.

    The last one begins where it first reaches the end of the video, and is cut off there.

    Returns:
        float64 (N, 2), the seconds at which each begins and ends, N >= 1.

    Examples:
        >>> windows_of(7.0, 4.0, 2.0).tolist()
        [[0.0, 4.0], [2.0, 6.0], [4.0, 7.0]]
        >>> windows_of(8.0, 4.0, 2.0).tolist()
        [[0.0, 4.0], [2.0, 6.0], [4.0, 8.0]]
        >>> windows_of(3.0, 4.0, 2.0).tolist()
        [[0.0, 3.0]]
    """
    number = max(int(np.ceil((duration - seconds) / stride - _ROUNDING)) + 1, 1)
    # Of windows with gaps between them the last may lie behind the end.
    starts = stride * np.arange(number)
    starts = starts[(starts < duration - _ROUNDING) | (starts == 0)]
    return np.stack([starts, np.minimum(starts + seconds, duration)], axis=1)


def spread_clips(frame_starts: np.ndarray, end: float, seconds: float, num_frames: int,
                 num_clips: int) -> np.ndarray:
    """Frames of clips of so many seconds: the first at the start of a part, the last at its end.

    Each goes from its first to its last frame. Of a part that is shorter than a clip all are equal.

    Args:
        frame_starts: Seconds at which each frame of the part begins, increasing.
        end: Second at which the last one ends.
        seconds: Of a clip.
        num_frames: Frames of a clip, T.
        num_clips: C.

    Returns:
        int64 array (C, T) that counts from the part's first frame.

    Examples:
        >>> spread_clips(np.arange(32) / 4, 8.0, 2.0, 2, 3).tolist()
        [[0, 7], [12, 19], [24, 31]]
    """
    places = np.linspace(frame_starts[0], max(end - seconds, frame_starts[0]), num_clips)
    return np.stack([end_to_end_frames(*frames_of_span(
        frame_starts, (place, place + seconds)), num_frames) for place in places])


def show_frames(clips: np.ndarray, frames: str, rng: np.random.Generator) -> np.ndarray:
    """What is shown of clips instead of all frames in order: how much does a model know of time?

    Each clip is taken alone, and none gets a frame that was not chosen for it.

    Args:
        clips: int64 (C, N), the frames chosen for each clip, in order.
        frames: 'natural': those. 'shuffled': in an order that is drawn, and never in their own
            where there is another. 'reversed': backwards. 'single': the middle one (the earlier of
            two) alone. 'constant': that one N times, a clip of the same length that stands still.
        rng: For 'shuffled'.

    Returns:
        int64 (C, N); (C, 1) of 'single'.

    Examples:
        >>> clips, rng = np.array([[1, 3, 5, 7]]), np.random.default_rng(0)
        >>> [show_frames(clips, frames, rng).tolist() for frames in FRAMES if frames != 'shuffled']
        [[[1, 3, 5, 7]], [[7, 5, 3, 1]], [[3]], [[3, 3, 3, 3]]]
        >>> shuffled = show_frames(clips, 'shuffled', rng)
        >>> np.sort(shuffled).tolist(), bool((shuffled == clips).all())
        ([[1, 3, 5, 7]], False)
    """
    middle = (clips.shape[1] - 1) // 2
    match frames:
        case 'natural':
            return clips
        case 'shuffled':
            return np.stack([_in_another_order(clip, rng) for clip in clips])
        case 'reversed':
            return clips[:, ::-1]
        case 'single':
            return clips[:, middle:middle + 1]
        case 'constant':
            return np.repeat(clips[:, middle:middle + 1], clips.shape[1], axis=1)
    raise ValueError(f'frames must be one of {FRAMES}, got {frames!r}')


def _in_another_order(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of all orders that can be told from the given one, each is as likely."""
    if (clip == clip[0]).all():
        return clip
    while True:  # at most half of the orders are the given one
        drawn = rng.permutation(clip)
        if (drawn != clip).any():
            return drawn


def rate_varies(frame_edges: np.ndarray, num_frames: int = _USUAL_FRAMES) -> bool:
    """Whether equal numbers of frames are no equal times: a frame begins, or the last one ends, too
    far off index / fps, where fps is the mean over the part.

    Too far is more than half an interval of the clip (then the middle frame of an interval may lie
    outside of that share of the time; in parts of few frames it is half a frame), or 1.5 frames. So
    time stamps rounded to milliseconds and one lost frame leave the paper's rule as it is: the
    release's own inputs of such a video are equal to the last bit.

    Args:
        frame_edges: (N + 1,) seconds at which each frame of the part begins, and the last one ends.
        num_frames: Frames, and so intervals, of a clip; of less than 12, the intervals of 12 count.

    Examples:
        >>> rate_varies(np.array([0.0, 0.033, 0.067, 0.1]))
        False
        >>> rate_varies(np.array([0.0, 0.033, 0.067, 1.0]))
        True
    """
    total = len(frame_edges) - 1
    at_constant_rate = np.linspace(frame_edges[0], frame_edges[-1], total + 1)
    seconds = frame_edges[-1] - frame_edges[0]
    interval = seconds / min(max(num_frames, _USUAL_FRAMES), total)
    limit = min(interval / 2, 1.5 * seconds / total)
    return bool(np.abs(frame_edges - at_constant_rate).max() > limit + _ROUNDING)


def clip_times(span: tuple[float, float], num_frames: int, places: np.ndarray | float,
               fps: float | None = None) -> np.ndarray:
    """Seconds at which clips look at a part of a video.

    The part is cut into ``num_frames`` equal intervals of time. With ``fps`` the frames are
    1 / fps apart instead, and a clip that is shorter than the part lies somewhere in it.

    Args:
        span: ``(start, end)`` of the part, seconds.
        num_frames: Frames of a clip, T.
        places: Numbers in [0, 1), of a shape that broadcasts with (..., T): where in each interval
            a clip looks; with ``fps``, where in the part the clip lies.
        fps: Frames a second.

    Returns:
        float64 (..., T); with ``fps`` some may lie behind the end of the part.

    Examples:
        >>> clip_times((0.0, 8.0), 4, 0.5).tolist()
        [1.0, 3.0, 5.0, 7.0]
        >>> clip_times((0.0, 8.0), 4, 0.5, fps=1.0).tolist()
        [2.5, 3.5, 4.5, 5.5]
    """
    start, end = span
    if fps is None:
        return start + (np.arange(num_frames) + places) * (end - start) / num_frames
    slack = max(end - start - num_frames / fps, 0.0)
    return start + slack * places + (np.arange(num_frames) + 0.5) / fps


def frames_at(frame_starts: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The frames that are shown at some times, of any shape; before the first one, that.

    ``frame_starts`` are the (N,) seconds at which each frame begins to be shown, increasing.

    Examples:
        >>> frames_at(np.array([0.0, 0.5, 3.0]), np.array([0.2, 0.5, 2.9])).tolist()
        [0, 1, 1]
    """
    return np.maximum(np.searchsorted(frame_starts, times + _ROUNDING, side='right') - 1, 0)


def frames_of_span(frame_starts: np.ndarray, span: tuple[float, float]) -> tuple[int, int]:
    """The frames that begin inside a span of time; if there are none, the one shown at its start.

    Exact for variable frame rates too, since it looks at the time of every frame, as in
    :func:`frames_at`. Of a span ``(start, end)``, frames with start <= t < end are meant.

    Returns:
        ``(first, stop)``, frame indices, ``first < stop``.

    Examples:
        At 4 frames a second, the half second from 0.5 s on has the frames at 0.5 and 0.75 s; a span
        between two frames shows the earlier one:

        >>> frames_of_span(np.arange(8) / 4, (0.5, 1.0))
        (2, 4)
        >>> frames_of_span(np.array([0.0, 5.0]), (1.0, 2.0))
        (0, 1)
    """
    first, stop = (int(i) for i in np.searchsorted(frame_starts, span))
    if first == stop:
        first = max(stop - 1, 0)
        stop = first + 1
    return first, stop
