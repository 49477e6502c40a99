import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools/benchmarks'
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='cores and CPU time of Linux')


@pytest.fixture
def tool(monkeypatch):
    """A module of the tool, by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.slow
def test_all_sides_go_from_a_folder_to_features(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'journey.py', '--smoke', '--out', str(tmp_path / 'journey.json')])
    monkeypatch.setattr('os.sched_setaffinity', lambda *_: None)  # it would hold for other tests
    tool('journey').main()
    rows = json.loads((tmp_path / 'journey.json').read_text())['rows']
    assert [(row['side'], row['precision'], row['num_files']) for row in rows] == [
        (side, 'fp32', 5) for side in ('ours', 'open_clip', 'sentence_transformers')]
    for row in rows:
        assert row['whole_a_minute'] > 0
        assert row['start_cpu_seconds'] > 0
        assert row['model_gflop'] > 0
        assert ('whole_speedup_open_clip_fp32' in row) == (row['side'] != 'open_clip')
    assert '| tiny | ours, fp32 |' in capsys.readouterr().out


def test_figures_are_medians_of_the_rounds(tool):
    journeys = tool('journeys')
    ours = [tuple(map(journeys.Spent, pair, pair)) for pair in ((4, 10), (4, 16), (4, 40))]
    theirs = [tuple(map(journeys.Spent, pair, pair)) for pair in ((2, 20), (4, 16), (2, 20))]
    # 7 videos: of these 6 after the first.
    assert journeys.figures(ours, 7) == dict(
        whole_a_minute=60 * 7 / 16, start_seconds=4, going_on_a_minute=60 / 2,
        start_cpu_seconds=4, video_cpu_seconds=2)
    # Of each round: 2, 1 and 0.5 for all, 3, 1 and 0.5 after the first.
    assert journeys.speedups(ours, theirs, 7) == dict(whole=1, going_on=1, cpu=1)
    assert journeys.speedups(ours[:1], theirs[:1], 7) == dict(whole=2, going_on=3, cpu=2)


def test_a_side_that_fails_or_leaves_videos_out_is_an_error(tool, tmp_path):
    journeys = tool('journeys')
    script = tmp_path / 'script.py'
    side = journeys.Side(lambda videos, out, dtype: [str(script), str(out)], journeys.read_plain)
    script.write_text('raise SystemExit("no such model")')
    with pytest.raises(ValueError, match='no such model'):
        journeys.run(side, tmp_path, 2, 'float32', tmp_path / 'out')
    script.write_text('import os, sys\nimport numpy as np\nos.mkdir(sys.argv[1])\n'
                      'np.save(sys.argv[1] + "/features.npy", np.ones((1, 1)))')
    assert journeys.run(side, tmp_path, 1, 'float32', tmp_path / 'out').seconds > 0
    with pytest.raises(ValueError, match='1 features of 2 videos'):
        journeys.run(side, tmp_path, 2, 'float32', tmp_path / 'out')
