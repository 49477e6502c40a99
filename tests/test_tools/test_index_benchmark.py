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
    monkeypatch.setattr('tvtsv2_mm.apis.search.index.EXACT_BELOW', 500)

    def call(*words):
        out = tmp_path / 'out.json'
        monkeypatch.setattr(sys, 'argv', ['index.py', '--out', str(out), *words])
        importlib.import_module('index').main()
        return json.loads(out.read_text())['rows']

    return call


def test_ours_beside_all_compared(measured, capsys):
    names = ['all compared', 'ours: FAISS, lists, float16, compared again']
    exact, ours, *kept = measured('--rows', '5000', '--width', '64', '--indexes', *names)
    assert [exact['index'], ours['index']] == names and exact['text_recall_share'] == 1
    assert min(ours['like_recall_share'], ours['text_recall_share']) >= 0.95
    assert ours['text_cpu_ms'] > 0 and 0 < ours['change_cpu_seconds'] < ours['build_cpu_seconds']
    assert [row['dtype'] for row in kept] == ['float16', 'int8']
    assert all(row['text_again_recall_share'] >= row['text_recall_share'] - 1e-9 for row in kept)
    with pytest.raises(SystemExit):
        measured('--indexes', 'no such')
    assert 'there is no index no such' in capsys.readouterr().err
