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
    """What became of the draws."""

    num_records: int = 0  # transcripts tried
    # Transcripts that training would skip, by cause (not one draw of all was usable), and for each
    # cause one of them with its numbers.
    given_up: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    num_draws: int = 0  # single ones
    failed_draws: Counter[str] = field(default_factory=Counter)  # those that failed, by cause

    def summary(self) -> str:
        """The two shares as a sentence."""
        return (f'{self.given_up.total() / max(self.num_records, 1):.1%} of {self.num_records:,} '
                f'transcripts have no usable draw; {self.failed_draws.total():,} of '
                f'{self.num_draws:,} single draws fail '
                f'({self.failed_draws.total() / max(self.num_draws, 1):.1%})')


def try_draws(transcripts: Sequence[dict], sampler: SampleTranscriptSegments, *,
              seed: int = 0) -> SegmentDraws:
    """Draw segments of each transcript, ``sampler.max_draws`` times each."""
    single = SampleTranscriptSegments(
        num_segments=sampler.num_segments, segment_seconds=sampler.segment_seconds,
        gap_seconds=sampler.gap_seconds, max_draws=1)
    draws = SegmentDraws(num_records=len(transcripts),
                         num_draws=len(transcripts) * sampler.max_draws)
    for index, record in enumerate(transcripts):
        rng = np.random.default_rng((seed, index))
        errors = []
        for _ in range(sampler.max_draws):
            try:
                single.transform(dict(record, filename=record['path'], rng=rng))
            except UnusableSampleError as error:
                errors.append(error)
        draws.failed_draws.update(cause_of(error.reason) for error in errors)
        if len(errors) == sampler.max_draws:
            cause = cause_of(errors[0].reason)
            draws.given_up[cause] += 1
            draws.examples.setdefault(cause, str(errors[0]))
    return draws
