"""Folders of features from others: damaged, or made to read other files."""

import json
import shutil

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from tvtsv2_mm.apis.clips import Failure
from tvtsv2_mm.apis.features import FeatureStore, load_features

META = dict(checkpoint='a.pth', checkpoint_sha256='0')


@pytest.fixture
def folder(tmp_path):
    """Two videos in a part, one in another, and one that failed."""
    store = FeatureStore(tmp_path / 'features')
    with store.locked():
        store.begin(META)
        store.write_part(0, ['a.mp4', 'b.mp4'], np.eye(2, 4), [])
        store.write_part(1, ['c.mp4'], np.ones((1, 4)), [Failure(video='d.mp4', reason='empty')])
        store.finish(['a.mp4', 'b.mp4', 'c.mp4', 'd.mp4'])
    return tmp_path / 'features'


def row(**changes):
    return json.dumps(dict(video='a.mp4', shard='parts/00000000.npy', row=0) | changes)


@pytest.mark.parametrize(('name', 'text', 'message'), [
    *(('index.jsonl', row(shard=shard), 'line 1: its "shard"') for shard in (
        '../outside.npy', '/etc/passwd', 'parts/../../a.npy', 'parts/00000000.pkl',
        'parts/00000000.npy\n', None, 7, ['parts/00000000.npy'])),
    *(('index.jsonl', row(row=number), 'line 1') for number in (
        2, -1, 10**30, 0.5, None, '0', True)),
    ('index.jsonl', row(shard='parts/00000009.npy'), 'No such file'),
    ('index.jsonl', row() + '\n' + row(video=7), 'line 2: its "video" is 7'),
    ('index.jsonl', '{"vid-o": "a.mp4"}', 'line 1: its "video" is None'),
    *(('index.jsonl', row(windows=windows), message) for windows, message in (
        ([[0, 1]] * 3, 'there is no row 2'), ([], '"windows" are damaged'), (7, 'are damaged'),
        ([[1, 0]], 'no starts and ends'), ([[0, 1, 2]], 'are damaged'), ([[0, 'x']], 'are damaged'),
        ([[0, 10**400]], 'are damaged'), ([[[0, 1]]], 'are damaged'))),
    *(('index.jsonl', row(windows=[[0, 1]], texts=texts), '"texts" are not one for each')
      for texts in ([], ['a', 'b'], 'a', [5], 5)),
    ('index.jsonl', row(windows=[[0, 1]]) + '\n' + row(), 'whole videos and windows'),
    ('index.jsonl', row(texts=['a']) + '\n' + row(), 'texts of some videos, and none'),
    ('index.jsonl', '[' * 10**5, 'nested too deeply'),
    ('index.jsonl', '[1]', 'a JSON object is needed'),
    ('index.jsonl', b'\xff', 'UnicodeDecodeError'),
    ('failed.jsonl', '{"video": "a"}', 'line 1: its "reason" is None'),
    ('meta.json', '{}', 'its "checkpoint" is None'),
    ('meta.json', '', 'JSONDecodeError'),
    ('meta.json', '{"checkpoint": "a", "checkpoint_sha256": 1}', 'its "checkpoint_sha256" is 1'),
])
def test_damaged_lists_are_named(folder, name, text, message):
    np.save(folder.parent / 'outside.npy', np.zeros((9, 4), np.float32))
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_features(folder)
    assert message in str(caught.value)
    assert name in str(caught.value) or 'parts/00000009.npy' in str(caught.value)


def write_header(path, header):
    """An .npy file that says anything and has little."""
    header = header.encode().ljust(117) + b'\n'
    path.write_bytes(b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + bytes(32))


@pytest.mark.parametrize('header', [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4",
    "{'descr': '|O', 'fortran_order': False, 'shape': (2, 4), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (8, ), }",
    "{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (2, 4), }",
    "'''"])
def test_an_array_that_says_too_much_is_named(folder, header):
    write_header(folder / 'parts' / '00000000.npy', header)
    with pytest.raises(ValueError, match=r'parts/00000000\.npy is damaged: '):
        load_features(folder)


def test_objects_and_numbers_that_are_none_are_refused(folder):
    path = folder / 'parts' / '00000000.npy'
    np.save(path, np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ValueError, match='is damaged'):
        load_features(folder)
    np.save(path, np.full((2, 4), np.nan, np.float32))
    with pytest.raises(ValueError, match='no finite float32'):
        load_features(folder)
    np.save(path, np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match=r'different widths: \[4, 5\]'):
        load_features(folder)


@pytest.mark.parametrize(('features', 'message'), [
    (pyarrow.array([[1.0, 2.0], [3.0]], pyarrow.list_(pyarrow.float32())), 'of a fixed size'),
    (pyarrow.array([[1.0, 2.0], None], pyarrow.list_(pyarrow.float32(), 2)),
     r'(\[2\], 1 of 2 empty|of size=2)'),  # the latter is of pyarrow < 22 itself
    (pyarrow.array([1.0, 2.0]), 'of a fixed size'),
    (pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.zeros(2**22, np.float32)), 4),
     'it declares 4194304 values, and has'),
])
def test_parquet_with_other_or_too_many_features_is_named(folder, features, message):
    (folder / 'index.jsonl').write_text(row(shard='parts/00000000.parquet'))
    parquet.write_table(pyarrow.table({'features': features}), folder / 'parts/00000000.parquet')
    with pytest.raises(ValueError, match=rf'00000000\.parquet is damaged: .*{message}'):
        load_features(folder)


@pytest.mark.parametrize('ending', ['npy', 'safetensors', 'parquet'])
def test_arrays_changed_at_random_are_read_or_named(tmp_path, ending):
    store = FeatureStore(tmp_path / 'features', ending)
    with store.locked():
        store.begin(META)
        store.write_part(0, ['a.mp4', 'b.mp4'], np.eye(2, 4), [])
        store.finish(['a.mp4', 'b.mp4'])
    path = tmp_path / 'features' / 'parts' / f'00000000.{ending}'
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        place, count = rng.integers(len(whole)), rng.integers(30)
        path.write_bytes(whole[:place] + rng.bytes(rng.integers(8)) + whole[place + count:])
        try:
            load_features(tmp_path / 'features')
        except ValueError as error:
            refused += 1
            assert str(error).startswith((f'{path} is damaged: ', f'{tmp_path}/features/index.js'))
    assert refused > 150


@pytest.mark.parametrize(('text', 'message'), [
    ('{', 'JSONDecodeError'), ('[]', 'object'), ('{}', '"shard"|"videos"'),
    ('{"shard": null, "videos": [1], "failed": []}', '"videos"'),
    ('{"shard": null, "videos": [], "failed": [{"video": "a"}]}', '"failed"'),
    ('{"shard": GONE, "videos": ["a"], "failed": [], "spacings": ["time", "x"]}', '"spacings"'),
    ('{"shard": GONE, "videos": ["a"], "failed": [], "spacings": 5}', '"spacings"'),
    ('{"shard": GONE, "videos": ["a"], "failed": [], "windows": [[[0, 1]], [[1]]]}', '"windows"'),
    ('{"shard": GONE, "videos": ["a"], "failed": [], "stamps": [5]}', '"stamps"'),
    ('{"shard": "../x", "videos": ["a"], "failed": []}', '"shard"'),
])
def test_a_damaged_record_of_a_part_is_named(folder, text, message):
    (folder / 'parts' / '00000001.json').write_text(text.replace('GONE', '"parts/00000001.npy"'))
    shutil.copy(folder / 'parts' / '00000000.json', folder / 'parts' / '0 copy.json')
    with pytest.raises(ValueError, match=rf'00000001\.json is damaged.*({message})'):
        FeatureStore(folder).done()
        FeatureStore(folder).finish(['a.mp4'])


def test_a_tensor_of_another_name_is_named(folder):
    save_file({'other': np.zeros((2, 4), np.float32)}, folder / 'parts' / '00000000.safetensors')
    (folder / 'index.jsonl').write_text(row(shard='parts/00000000.safetensors'))
    with pytest.raises(ValueError, match=r'00000000\.safetensors is damaged: KeyError'):
        load_features(folder)
