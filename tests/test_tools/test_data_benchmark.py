import argparse
import importlib
import json
import sys
from pathlib import Path

import cv2
import pytest
import torch

FOLDER = Path(__file__).parents[2] / 'tools/benchmarks'
CLIP = Path(__file__).parents[1] / 'data/videos/part_0.mp4'
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


@pytest.fixture
def data(monkeypatch):
    """The tool, which runs on one thread."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield importlib.import_module('data')
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_all_figures_are_there(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'data.py', str(CLIP), '--out', str(tmp_path / 'data.json'), '--rounds', '1', '--ways',
        'auto', 'fast', 'several', 'shards', '--size', '112', '--short-side', '128'])
    data.main()
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / 'data.json').read_text())
    names = ['stock', 'auto', 'fast', 'several', 'shards']
    clip, *rows = result['rows']
    assert (clip['table'], clip['file'], clip['codec']) == ('clips', CLIP.name, 'h264')
    assert all(0 < clip[f'{name}_ms'] < 10000 for name in names)
    assert all(clip[f'{name}_speedup'] == pytest.approx(clip['stock_ms'] / clip[f'{name}_ms'])
               for name in names)
    assert 1 < clip['fast_levels'] < 20
    assert 0 < clip['shard_mb'] < clip['source_mb'] == CLIP.stat().st_size / 1e6
    assert [(row['table'], row['contestant'], row['codec']) for row in rows] == [
        ('decoding', name, codec) for name in names for codec in ('H.264', 'all')]
    for row in rows:
        assert row['num_files'] == 1
        assert row['peak_mb'] > 0
        for other in {'stock', 'auto'} - {row['contestant']}:
            assert row[f'speedup_{other}'] == pytest.approx(
                clip[f'{other}_ms'] / clip[f'{row["contestant"]}_ms'])
    assert '| auto |' in printed
    assert f'| {CLIP.name} |' in printed


def test_the_ways_of_this_package_give_the_same_clips(data):
    contestant = importlib.import_module('decoding').Contestant
    args = argparse.Namespace(frames=4, short_side=64, size=48, clips_per_video=2)
    clips = {name: contestant(name, args).clips(CLIP)
             for name in ('stock', 'auto', 'decord', 'isolated', 'fast', 'several')}
    videos = {name: [clip['inputs']['video'] for clip in own]
              for name, own in clips.items() if name != 'stock'}
    assert clips['stock'][0]['inputs'].shape == (1, 3, 4, 48, 48)
    assert {video.shape for own in videos.values() for video in own} == {(4, 3, 48, 48)}
    assert len(videos['several']) == 2
    for name in ('decord', 'isolated'):
        assert torch.equal(videos[name][0], videos['auto'][0])
    assert not torch.equal(videos['fast'][0], videos['auto'][0])
