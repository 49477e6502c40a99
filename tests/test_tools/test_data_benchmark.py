import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/benchmarks/data.py'
CLIP = Path(__file__).parents[1] / 'data/videos/part_0.mp4'


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_all_figures_are_there(tmp_path):
    done = subprocess.run(
        [sys.executable, str(TOOL), str(CLIP), '--out', str(tmp_path / 'data.json'), '--rounds',
         '1', '--shards', '--decoders', 'auto', 'fast', '--workers', '1', '--loader-clips', '8',
         '--step-seconds', '0'], capture_output=True, text=True, check=True, timeout=300)
    result = json.loads((tmp_path / 'data.json').read_text())
    names = ['stock', 'auto', 'fast', 'several', 'shards']
    seconds = result['seconds'][str(CLIP)]
    assert list(seconds) == names
    assert all(0 < figures['cpu'] < 10 and figures['wall'] > 0 for figures in seconds.values())
    assert result['codecs'] == {str(CLIP): 'h264'}
    assert result['ratios']['H.264']['auto']['geometric_mean'] == pytest.approx(
        seconds['stock']['cpu'] / seconds['auto']['cpu'])
    assert result['fast_to_auto'] == pytest.approx(seconds['auto']['cpu'] / seconds['fast']['cpu'])
    assert 1 < result['levels_of_fast'][str(CLIP)] < 20
    assert result['shards'][str(CLIP)]['megabytes'] > 0
    assert result['peak_megabytes']['stock'] > 0
    assert [row['contestant'] for row in result['loaders']] == ['stock', 'auto', 'several',
                                                                'shards']
    assert all(row['clips_per_second'] > 0 and row['cpu_per_clip'] > 0
               and 0 <= row['waiting_share'] < 1 for row in result['loaders'])
    assert 'H.264, auto:' in done.stdout
    assert 'in a shard' in done.stdout
