import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.shards.index import load_index
from tvtsv2_mm.datasets.shards.sharded_dataset import ShardedCaptionDataset
from tvtsv2_mm.datasets.shards.stream import RawSample, read_samples


@pytest.mark.parametrize('place', [
    None, 'pipe:cat', 'pipe:cat {}', 'pipe:echo s3 cp {} -', 'https://example.org/{}'])
@pytest.mark.parametrize('name', [
    'pipe:touch RAN', 'a.tar; touch RAN', '$(touch RAN)', '`touch RAN`', 'a\ntouch RAN',
    "'; touch RAN", 'a.tar\n', '../../etc/passwd', 'parts/../../a.tar', '/etc/passwd',
    'file:/etc/passwd', 'http://example.org/a.tar', '-rf', '.hidden', 'a b.tar', '~/a.tar', '',
    'a//b.tar', 'ä.tar',
    'a.tar?x=1', 'a{}.tar', 7, None, ['a.tar']])
def test_names_are_nothing_but_names(tmp_path, monkeypatch, name, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'index.json').write_text(json.dumps(
        dict(kind='captions', shards=[dict(name=name, samples=1)])))
    with pytest.raises(ValueError, match=r'^index\.json is no index of shards: a shard is called'):
        list(read_samples(load_index('index.json', place), 0, [0]))
    assert not (tmp_path / 'RAN').exists()


def test_names_in_folders_and_with_a_program(write_shards, tmp_path, monkeypatch):
    path = write_shards(2)
    (tmp_path / 'corpus' / 'parts').mkdir()
    (tmp_path / 'corpus' / '0.tar').rename(tmp_path / 'corpus' / 'parts' / '00000000.tar')
    content = dict(kind='captions', shards=[dict(name='parts/00000000.tar', samples=2)])
    (tmp_path / 'corpus' / 'index.json').write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    for place in (None, 'pipe:cat corpus', 'pipe:cat corpus/{}'):
        [(_, sample)] = read_samples(load_index(path, place), 0, [1])
        assert json.loads(sample.files['json'])['path'] == '1.mp4'


def test_a_file_with_holes_takes_no_memory(tmp_path):
    with tarfile.open(tmp_path / 'a.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo('0.mp4')
        info.pax_headers = {'GNU.sparse.map': '0,1', 'GNU.sparse.size': str(10**15)}
        info.size = 1
        tar.addfile(info, io.BytesIO(b'x'))
    (tmp_path / 'index.json').write_text(
        '{"kind": "captions", "shards": [{"name": "a.tar", "samples": 1}]}')
    [(_, sample)] = read_samples(load_index(str(tmp_path / 'index.json')), 0, [0])
    assert 'ValueError: 0.mp4 has holes' in sample.reason


@pytest.mark.parametrize('text', [
    '', '[]', '7', '{', '\ud800'.encode('utf-8', 'surrogatepass'), b'\xff\xfe\x00', '[' * 100000,
    '{"kind": "captions"}', '{"kind": "captions", "shards": []}',
    '{"kind": "captions", "shards": {"a": 1}}', '{"kind": "captions", "shards": [7]}',
    '{"kind": ["captions"], "shards": [{"name": "a.tar", "samples": 1}]}',
    *(f'{{"kind": "captions", "shards": [{{"name": "a.tar", "samples": {count}}}]}}' for count in (
        '0', '-1', '1e3', '1.5', '31e999', 'NaN', 'true', 'null', '"7"', '1' + '0' * 30,
        '9' * 5000))])
def test_what_is_no_index_gives_one_error(tmp_path, text):
    path = tmp_path / 'index.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r'index\.json is no index of shards: '):
        load_index(str(path))


@pytest.mark.parametrize('kind', ['["captions"]', '{}', 'null', '"labels"'])
def test_a_kind_of_another_sort_is_named(tmp_path, kind):
    (tmp_path / 'index.json').write_text(
        f'{{"kind": {kind}, "shards": [{{"name": "a.tar", "samples": 1}}]}}')
    with pytest.raises(ValueError, match=r'its "kind" is .*, not transcripts or captions'):
        load_index(str(tmp_path / 'index.json'))


def test_an_index_changed_at_random_is_read_or_named(tmp_path):
    path = tmp_path / 'index.json'
    whole = json.dumps(dict(kind='captions', shards=[
        dict(name=f'parts/{i}.tar', samples=i + 1) for i in range(3)])).encode()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        place, count = rng.integers(len(whole)), rng.integers(6)
        path.write_bytes(whole[:place] + rng.bytes(rng.integers(3)) + whole[place + count:])
        try:
            index = load_index(str(path))
            assert Path(index.url(0)).resolve().is_relative_to(tmp_path)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f'{path} is no index of shards: ')
    assert refused > 250


@pytest.mark.parametrize(('text', 'reason'), [
    (b'[' * 100000, 'not a JSON object'), (b'[1]', 'a JSON object is needed'),
    (b'\xff', 'not UTF-8'), (b'{"path": "a.mp4", "captions": ["\\ud800"]}', 'half a character'),
    (b'{"path": "a.mp4", "captions": ["a"], "end": 1e300}', '"end" must be seconds')])
def test_a_damaged_record_is_skipped_with_its_reason(text, reason, tmp_path):
    (tmp_path / 'index.json').write_text(
        '{"kind": "captions", "shards": [{"name": "a.tar", "samples": 1}]}')
    dataset = ShardedCaptionDataset(str(tmp_path / 'index.json'))
    raw = RawSample(number=0, label='a.tar::0', files={'json': text, 'mp4': b''})
    with pytest.raises(UnusableSampleError, match=f'a.tar::0: its .json does not fit: .*{reason}'):
        dataset._prepare(raw, np.random.default_rng(0), [])
