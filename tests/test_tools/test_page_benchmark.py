import importlib
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools/benchmarks'
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Call the tool; return its rows."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def call(*words):
        out = tmp_path / 'out.json'
        monkeypatch.setattr(sys, 'argv', ['page.py', '--out', str(out), *map(str, words)])
        importlib.import_module('page').main()
        return json.loads(out.read_text())['rows']

    return call


def test_first_results(measured, capsys):
    rows = measured('--size', 'tiny', '--windows', 250, '--requests', 8, '--at-once', 1, 2)
    assert [row['at_once_requests'] for row in rows] == [1, 2]
    for row in rows:
        assert 0 < row['p50_ms'] <= row['p95_ms'] <= row['p99_ms'] <= row['slowest_ms'] < 60_000
        assert 0 < row['query_median_ms'] + row['search_median_ms'] < 2 * row['p50_ms'] + 50
        assert row['total_windows'] == 250 and 100 < row['resident_mb'] < 10_000
    assert '| tiny | 250 | 1 |' in capsys.readouterr().out


@pytest.mark.slow
def test_a_soak(measured):
    [row] = measured('--soak', 4, '--rate', 20)
    assert row['failed_requests'] == 0 and 20 < row['requests'] <= 80
