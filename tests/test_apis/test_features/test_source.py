import json

import pytest

from tvtsv2_mm.apis.features.source import find_source, write_source


def test_where_the_videos_lie(tmp_path, monkeypatch):
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'out').mkdir()
    monkeypatch.chdir(tmp_path)
    write_source('out', 'videos')
    monkeypatch.chdir('/')
    out = tmp_path / 'out'
    assert find_source(out) == str(tmp_path / 'videos')
    (tmp_path / 'videos').rename(tmp_path / 'moved')
    with pytest.raises(FileNotFoundError, match=r'there is no folder .*videos of the videos: name'):
        find_source(out)
    assert find_source(out, str(tmp_path / 'moved')) == str(tmp_path / 'moved')
    write_source(out, 's3://bucket/videos')
    with pytest.raises(ValueError, match='is no folder of this machine: name one'):
        find_source(out)


@pytest.mark.parametrize('content', ['{}', '[]', '{"videos": 3}', 'x', '{"videos": "a\\u0000b"}'])
def test_what_is_damaged_is_named(tmp_path, content):
    with pytest.raises(FileNotFoundError, match='name their folder with --videos'):
        find_source(tmp_path)
    (tmp_path / 'source.json').write_text(content)
    with pytest.raises(ValueError, match=r'source\.json'):
        find_source(tmp_path)
    assert find_source(tmp_path, tmp_path) == str(tmp_path)


def test_a_name_that_is_no_unicode_is_left_open(tmp_path):
    write_source(tmp_path, '/a\udcff')
    assert not (tmp_path / 'source.json').exists()
    write_source(tmp_path, '/é')
    assert json.loads((tmp_path / 'source.json').read_text('utf-8')) == dict(videos='/é')
