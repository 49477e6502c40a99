import pytest

from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
from tvtsv2_mm.preparation.inspection.draws import try_draws

SAMPLER = SampleTranscriptSegments(num_segments=2, segment_seconds=(2, 2), max_draws=8)


def transcript(duration: float, *starts: float) -> dict:
    return {'path': f'{duration:g}.mp4', 'duration': duration,
            'words': [['word', start, start + 0.2] for start in starts]}


def test_causes_of_failed_draws():
    records = [transcript(10, *range(10)), transcript(4.5, 1, 2), transcript(30, 1),
               transcript(100, 99, 99.5), transcript(20, *range(10))]
    draws = try_draws(records, SAMPLER)
    assert draws.num_draws == 40
    assert draws.given_up == {
        'its N s are less than the N s that N segments of N s with gaps of N s take': 1,
        'its transcript has N words, fewer than the N segments to draw': 1,
        'in N draws of N segments of N-N s one always had no words (N words in N s)': 1}
    # The last one speaks in its first half only: some draws fail, and training draws again.
    assert 24 < draws.failed_draws.total() < 32
    assert '60.0% of 5 transcripts have no usable draw' in draws.summary()
    assert ('30.mp4: its transcript has 1 words, fewer than the 2 segments to draw'
            in draws.examples.values())


def test_draws_can_be_repeated():
    records = [transcript(20, *range(10))]
    assert try_draws(records, SAMPLER, seed=3) == try_draws(records, SAMPLER, seed=3)


def test_without_records():
    assert try_draws([], SAMPLER).summary().startswith('0.0% of 0')


def test_a_good_file_has_no_failures():
    draws = try_draws([transcript(10, *range(10))], SAMPLER)
    assert not draws.given_up
    assert draws.failed_draws.total() == pytest.approx(0)
