import runpy
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tvtsv2_mm.apis.clips import Failure
from tvtsv2_mm.apis.features import FeatureStore, load_features
from tvtsv2_mm.apis.features import table as module
from tvtsv2_mm.apis.features.table import export_table

TOOL = Path(__file__).parents[3] / 'tools' / 'export_features.py'
META = dict(checkpoint='a.pth', checkpoint_sha256='0' * 64)


def vectors(rows, seed=0):
    found = np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write(folder, parts, **of_videos):
    store = FeatureStore(folder)
    with store.locked():
        store.begin(META)
        for number, (videos, features) in enumerate(parts):
            store.write_part(number, videos, features, [], **{
                key: [own[video] for video in videos] for key, own in of_videos.items()})
        store.finish([video for videos, _ in parts for video in videos])


@pytest.fixture
def folder(tmp_path):
    spans = dict(a=[[0.0, 4.0], [2.0, 6.0]], b=[[0.0, 3.5]], c=[[1.0, 2.0]])
    write(tmp_path / 'out', [(['a', 'b'], vectors(3)), (['c'], vectors(1, 1))], windows=spans)
    write(tmp_path / 'out' / 'speech', [(['b'], vectors(2, 2))],
          windows=dict(b=[[0.0, 1.0], [5.0, 6.0]]), texts=dict(b=['ein Hund läuft', '']))
    return tmp_path / 'out'


@pytest.mark.parametrize('ending', ['parquet', 'arrow'])
def test_windows_and_speech_in_one_table(folder, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(module, '_ROWS_AT_ONCE', 3)
    path = tmp_path / 'new' / f'all.{ending}'
    assert export_table(folder, path) == 6
    table = parquet.read_table(path) if ending == 'parquet' else pyarrow.ipc.open_file(
        path).read_all()
    features, speech = load_features(folder), load_features(folder / 'speech')
    assert table.schema.field('vector').type == pyarrow.list_(pyarrow.float32(), 8)
    np.testing.assert_array_equal(
        table['vector'].combine_chunks().flatten().to_numpy().reshape(6, 8),
        np.concatenate([features.features, speech.features]))
    rows = table.drop_columns('vector').to_pydict()
    assert rows == dict(
        kind=['video'] * 4 + ['speech'] * 2, key=[0, 1, 2, 1 << 32, 0, 1],
        video=['a', 'a', 'b', 'c', 'b', 'b'], start=[0, 2, 0, 1, 0, 5], end=[4, 6, 3.5, 2, 1, 6],
        text=[None] * 4 + ['ein Hund läuft', ''])
    assert table.schema.metadata[b'checkpoint_sha256'] == b'0' * 64
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_whole_videos(tmp_path, monkeypatch, capsys):
    write(tmp_path / 'out', [(['a', 'b'], vectors(2))])
    monkeypatch.setattr(sys, 'argv', ['', str(tmp_path / 'out'), str(tmp_path / 'all.parquet')])
    runpy.run_path(str(TOOL), run_name='__main__')
    assert capsys.readouterr().out == f'2 rows in {tmp_path}/all.parquet\n'
    rows = parquet.read_table(tmp_path / 'all.parquet').to_pydict()
    assert rows['start'] == rows['end'] == rows['text'] == [None, None]
    assert rows['video'] == ['a', 'b']


def test_what_cannot_be_written_is_told(tmp_path, folder, monkeypatch):
    with pytest.raises(ValueError, match=r'all\.csv must end in \.parquet or \.arrow'):
        export_table(folder, tmp_path / 'all.csv')
    with pytest.raises(FileNotFoundError, match=r'has no index\.jsonl'):
        export_table(tmp_path, tmp_path / 'all.arrow')
    store = FeatureStore(tmp_path / 'failed')
    with store.locked():
        store.begin(META)
        store.write_part(0, [], np.zeros((0, 8)), [Failure(video='a', reason='no')])
        store.finish(['a'])
    with pytest.raises(ValueError, match='all videos failed'):
        export_table(tmp_path / 'failed', tmp_path / 'all.arrow')
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    with pytest.raises(ImportError):
        export_table(folder, tmp_path / 'all.arrow')
    assert not [*tmp_path.glob('all*')]
