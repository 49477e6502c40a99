import json
from pathlib import Path

import numpy as np
import pytest

from tvtsv2_mm.datasets.frame_indices import (
    clip_frames,
    frames_of_span,
    interval_edges,
    random_frames,
)

GOLDEN = Path(__file__).parents[1] / 'data/golden/uniform_frame_indices.json'


def middle_frames(start, stop, num_frames):
    return clip_frames(start, stop, num_frames, num_clips=1)[0]


def test_middle_frames_are_those_of_the_release():
    cases = json.loads(GOLDEN.read_text())
    assert len(cases) == 36
    for case in cases:
        found = middle_frames(0, case['total_frames'], case['num_frames'])
        assert found.tolist() == case['indices'], case


@pytest.mark.parametrize('total', [1, 2, 5, 11, 12, 13, 97])
@pytest.mark.parametrize('start', [0, 40])
def test_intervals_cut_the_part_without_gap_or_empty_one(total, start):
    edges = interval_edges(start, start + total, 12)
    assert len(edges) == min(12, total) + 1
    assert (edges[0], edges[-1]) == (start, start + total)
    lengths = np.diff(edges)
    assert lengths.min() >= 1
    assert lengths.max() - lengths.min() <= 1


def test_random_frames_are_drawn_from_the_whole_of_each_interval():
    rng = np.random.default_rng(0)
    draws = np.stack([random_frames(7, 32, 4, rng) for _ in range(400)])
    edges = interval_edges(7, 32, 4)
    for i in range(4):
        assert set(draws[:, i]) == set(range(edges[i], edges[i + 1]))


def test_middle_frames_move_with_the_start():
    assert (middle_frames(50, 80, 3) == middle_frames(0, 30, 3) + 50).all()


@pytest.mark.parametrize('total', [1, 2, 5])
def test_very_short_clips_give_each_frame_once(total):
    rng = np.random.default_rng(0)
    assert random_frames(0, total, 12, rng).tolist() == list(range(total))
    assert middle_frames(0, total, 12).tolist() == list(range(total))


def test_nothing_to_choose_from():
    with pytest.raises(ValueError, match='start=3 and stop=3'):
        interval_edges(3, 3, 12)
    with pytest.raises(ValueError, match='num_frames'):
        interval_edges(0, 3, 0)


@pytest.mark.parametrize(('span', 'frames'), [
    ((0.0, 1.0), (0, 2)),       # frames at 0 and 0.5; the one at 1.0 is not inside
    ((0.5, 1.2), (1, 3)),
    ((0.6, 5.0), (2, 4)),       # the frame at 0.5 begins before the span
    ((1.5, 2.5), (2, 3)),       # nothing begins: the frame at 1.0 is shown
    ((9.0, 9.5), (4, 5)),       # after the last one: it still stands
    ((3.0, float('inf')), (3, 5)),
])
def test_frames_of_span_with_variable_frame_rate(span, frames):
    starts = np.array([0.0, 0.5, 1.0, 3.0, 6.0])
    assert frames_of_span(starts, span) == frames


def test_span_before_the_first_frame():
    assert frames_of_span(np.array([0.5, 1.0]), (0.0, 0.2)) == (0, 1)
