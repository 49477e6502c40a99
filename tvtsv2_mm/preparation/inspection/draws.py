"""How often a draw of segments fails in training, and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
from tvtsv2_mm.video.errors import cause_of


@dataclass(kw_only=True)
class SegmentDraws:
    """What became of the draws.

    Attributes:
        num_records: Transcripts tried.
        given_up: Transcripts that training would skip, by cause: not one draw of all was usable.
        examples: For each cause, one of them with its numbers.
        num_draws: Single draws.
        failed_draws: Those that failed, by cause.
    """

    num_records: int = 0
    given_up: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    num_draws: int = 0
    failed_draws: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """The two shares as a sentence."""
        return (f'{self.given_up.total() / max(self.num_records, 1):.1%} of {self.num_records:,} '
                f'transcripts have no usable draw; {self.failed_draws.total():,} of '
                f'{self.num_draws:,} single draws fail '
                f'({self.failed_draws.total() / max(self.num_draws, 1):.1%})')


def try_draws(records: Sequence[dict], sampler: SampleTranscriptSegments, *,
              seed: int = 0) -> SegmentDraws:
    """Draw segments of each transcript, ``sampler.max_draws`` times each.

    Args:
        records: Transcripts.
        sampler: With the numbers of the config.
        seed: Of the draws.
    """
    single = SampleTranscriptSegments(
        num_segments=sampler.num_segments, segment_seconds=sampler.segment_seconds,
        gap_seconds=sampler.gap_seconds, max_draws=1)
    draws = SegmentDraws()
    for index, record in enumerate(records):
        rng = np.random.default_rng((seed, index))
        errors = []
        for _ in range(sampler.max_draws):
            try:
                single.transform(dict(record, filename=record['path'], rng=rng))
            except UnusableSampleError as error:
                errors.append(error)
        draws.num_records += 1
        draws.num_draws += sampler.max_draws
        draws.failed_draws.update(cause_of(error.reason) for error in errors)
        if len(errors) == sampler.max_draws:
            cause = cause_of(errors[0].reason)
            draws.given_up[cause] += 1
            draws.examples.setdefault(cause, str(errors[0]))
    return draws
