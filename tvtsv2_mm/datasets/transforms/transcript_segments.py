"""Draw the K consecutive spoken segments that a training sample shows and sorts."""

from dataclasses import dataclass

import numpy as np
from mmcv.transforms import BaseTransform

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.registry import TRANSFORMS


def timed_words(results: dict) -> tuple[list[str], np.ndarray]:
    """Words of a transcript and the second at which each counts as spoken.

    With word times, that is the middle of the word. A cue (``segments``) may last longer than a
    whole segment, so a cue is not taken or left as one: its words are spread evenly over it, and
    the i-th of n words counts at ``start + (i + 0.5) / n * (end - start)``.

    Args:
        results: With either ``words`` or ``segments``: ``(text, start, end)`` in seconds.

    Returns:
        The words in the order of the annotation, and their times, float64 (number of words,).
    """
    if results.get('words') is not None:
        timed = [(str(text).strip(), (start + end) / 2) for text, start, end in results['words']]
    elif results.get('segments') is not None:
        timed = [(word, start + (i + 0.5) / len(words) * (end - start))
                 for text, start, end in results['segments']
                 for words in [str(text).split()] for i, word in enumerate(words)]
    else:
        raise KeyError('SampleTranscriptSegments needs the key words or segments: use it with a '
                       'dataset of transcripts (TranscriptVideoDataset)')
    return [word for word, _ in timed], np.array([time for _, time in timed], dtype=np.float64)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class SampleTranscriptSegments(BaseTransform):
    """Draw K consecutive segments of speech, all of one random length, with gaps between them.

    The length s is a random whole number of seconds; K segments and their gaps span
    ``K * s + (K - 1) * gap_seconds``; where the span starts is random. Lengths whose span is longer
    than the video are left out of the draw. The transcript of a segment is the words whose middle
    lies in ``[start, end)`` (see :func:`timed_words` for transcripts timed by cues). A draw that
    leaves a segment without a word is drawn again.

    The transcripts stay in the order of time, 0 .. K-1: the sorting head has no position embedding
    for them, so their order tells it nothing, and the target is ``arange(K)``.

    Nothing is decoded before this transform has found a usable draw; put it before ``OpenVideo``.

    Required keys: words or segments, duration (seconds), rng, filename.

    Added keys: texts (list of K str), segments_s (list of K pairs, seconds), span (pair: start of
    the first segment, end of the last one, seconds).

    Args:
        num_segments: K.
        segment_seconds: Shortest and longest length of a segment, whole seconds, both included.
        gap_seconds: Silence (for the model) between two segments.
        max_draws: Draws before the sample is given up.

    Raises:
        UnusableSampleError: If the video is too short, has fewer words than K, or every one of
            ``max_draws`` draws had a segment without a word.
    """

    num_segments: int = 4
    segment_seconds: tuple[int, int] = (3, 5)
    gap_seconds: float = 1.0
    max_draws: int = 10

    def __post_init__(self) -> None:
        seconds = self.segment_seconds
        if self.num_segments < 1:
            raise ValueError(f'num_segments must be at least 1, got {self.num_segments}')
        if (len(seconds) != 2 or any(int(s) != s for s in seconds)
                or not 1 <= seconds[0] <= seconds[1]):
            raise ValueError('segment_seconds must be two whole numbers (shortest, longest), '
                             f'1 <= shortest <= longest, got {seconds}')
        if self.gap_seconds < 0:
            raise ValueError(f'gap_seconds must not be negative, got {self.gap_seconds}')
        if self.max_draws < 1:
            raise ValueError(f'max_draws must be at least 1, got {self.max_draws}')
        self.segment_seconds = int(seconds[0]), int(seconds[1])
        self.gap_seconds = float(self.gap_seconds)

    def span_seconds(self, length: int) -> float:
        """Seconds from the start of the first to the end of the last segment of ``length`` s.

        Examples:
            >>> SampleTranscriptSegments().span_seconds(5)
            23.0
        """
        return self.num_segments * length + (self.num_segments - 1) * self.gap_seconds

    def transform(self, results: dict) -> dict:
        """Add ``texts``, ``segments_s`` and ``span``."""
        path, duration, rng = results['filename'], results['duration'], results['rng']
        shortest, longest = self.segment_seconds
        lengths = [s for s in range(shortest, longest + 1) if self.span_seconds(s) <= duration]
        if not lengths:
            raise UnusableSampleError(
                path, f'its {duration:.1f} s are less than the {self.span_seconds(shortest):g} s '
                f'that {self.num_segments} segments of {shortest} s with gaps of '
                f'{self.gap_seconds:g} s take')
        words, times = timed_words(results)
        if len(words) < self.num_segments:
            raise UnusableSampleError(
                path, f'its transcript has {len(words)} words, fewer than the '
                f'{self.num_segments} segments to draw')
        for _ in range(self.max_draws):
            length = int(rng.choice(lengths))
            start = float(rng.uniform(0, duration - self.span_seconds(length)))
            starts = [start + k * (length + self.gap_seconds) for k in range(self.num_segments)]
            segments = [(s, s + length) for s in starts]
            texts = [' '.join(words[i] for i in np.flatnonzero((times >= a) & (times < b)))
                     for a, b in segments]
            if all(texts):
                results.update(
                    texts=texts, segments_s=segments, span=(segments[0][0], segments[-1][1]))
                return results
        raise UnusableSampleError(
            path, f'in {self.max_draws} draws of {self.num_segments} segments of '
            f'{lengths[0]}-{lengths[-1]} s one always had no words '
            f'({len(words)} words in {duration:.1f} s)')
