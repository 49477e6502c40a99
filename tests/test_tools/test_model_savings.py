import json
import subprocess
import sys

import pytest

from tests.tiny_model import ROOT


def test_rows_of_the_measures_asked_for(tmp_path):
    out = tmp_path / 'savings.json'
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/benchmarks/model_savings.py'), '--parts', 'loader',
         '--rounds', '1', '--threads', '1', '--out', str(out)],
        capture_output=True, text=True, check=True, timeout=300)
    rows = json.loads(out.read_text())['rows']
    assert [name.split(',')[0] for name in rows] == ['masked patches dropped in the loader']
    for row in rows.values():
        assert row['ratio'] == pytest.approx(row['own_seconds'] / row['without_seconds'])
        assert row['own_seconds'] > 0
    assert done.stdout.count('\n') == 2 + len(rows)
