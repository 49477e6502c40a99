import json
import os

import numpy as np
import pytest

from tests.grey_videos import write_grey_video
from tests.tiny_model import save_tiny_checkpoint
from tvtsv2_mm.apis.features import load_features
from tvtsv2_mm.apis.features.extract import ExtractionConfig, extract
from tvtsv2_mm.apis.features.speech import passages_of, transcripts_beside
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.windows import Windows

VTT = ('WEBVTT\n\n00:00:00.000 --> 00:00:02.000\na dog runs\n\n'
       '00:00:09.000 --> 00:00:10.000\na cat\n')
SRT = '1\n00:00:00,000 --> 00:00:01,000\na man sleeps\n'
WHISPER = json.dumps(dict(segments=[dict(text=' on the grass', start=1.0, end=2.5)]))


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')
    return ExtractionConfig(weights=str(path), device='cpu',
                            windows=Windows(seconds=2.0, stride=1.0))


def test_what_is_said_after_the_end_is_left_out(tmp_path, config, monkeypatch):
    """The subtitles are of another cut."""
    told = []
    monkeypatch.setattr('tvtsv2_mm.apis.features.speech.print_log',
                        lambda text, *_: told.append(text))
    for name in 'ab':
        write_grey_video(tmp_path / f'{name}.mp4', num_frames=12, codec='mpeg4')
    (tmp_path / 'a.vtt').write_text(VTT)
    (tmp_path / 'b.vtt').write_text(VTT.replace('00:0', '01:0'))
    extract(str(tmp_path), str(tmp_path / 'out'), config, show_progress=False)
    found = load_features(tmp_path / 'out/speech')
    assert found.texts == ['a dog runs']
    assert told == [f'{tmp_path}/a.vtt: 1 of 2 passages begin after the end of the video, at '
                    '1.2 s, and are left out']
    assert [failure.reason for failure in found.failed] == [
        'b.vtt: all of it is said after the end of the video, at 1.2 s']
    write_grey_video(tmp_path / 'a.mp4', num_frames=100, codec='mpeg4')
    extract(str(tmp_path), str(tmp_path / 'out'), config, show_progress=False)
    assert load_features(tmp_path / 'out/speech').texts == ['a dog runs', 'a cat']


def test_transcripts_beside_videos_are_embedded(tmp_path, config, capsys):
    corpus = tmp_path / 'corpus'
    (corpus / 'below').mkdir(parents=True)
    for name in ('a.mp4', 'b.mp4', 'below/a.mp4', 'c.mp4', 'silent.mp4', 'alone.mp4'):
        write_grey_video(corpus / name, num_frames=100, codec='mpeg4')
    (corpus / 'a.vtt').write_text(VTT)
    (corpus / 'a.srt').write_text(SRT)  # .vtt counts
    (corpus / 'b.en.srt').write_text(SRT)
    (corpus / 'below/a.mp4.json').write_text(WHISPER)
    (corpus / 'c.json').write_text('{"title": "c"}')
    (corpus / 'silent.vtt').write_text('WEBVTT\n')
    (corpus / 'other.vtt').write_text(VTT)
    out = tmp_path / 'out'
    assert extract(str(corpus), str(out), config) == (6, 0)
    assert f'3 transcripts in {out}/speech; 2 cannot be read' in capsys.readouterr().out
    found = load_features(out / 'speech')
    assert list(zip(found.videos, found.texts, found.spans.tolist(), strict=True)) == [
        ('a.mp4', 'a dog runs', [0.0, 2.0]), ('a.mp4', 'a cat', [9.0, 10.0]),
        ('b.mp4', 'a man sleeps', [0.0, 1.0]), ('below/a.mp4', 'on the grass', [1.0, 2.5])]
    infer = TVTSv2Inferencer(weights=config.weights, device='cpu', texts_only=True)
    np.testing.assert_allclose(found.features, infer.embed_texts(found.texts), atol=1e-6)
    assert {failure.video: failure.reason for failure in found.failed} == {
        'c.mp4': 'c.json: it is not the json of a speech recogniser that is known',
        'silent.mp4': 'silent.vtt: nothing is said in it'}

    # What has changed since, and that alone, is embedded anew.
    before = dict(zip(found.texts, found.keys, strict=True))
    (corpus / 'a.vtt').write_text(VTT.replace('a cat', 'a bird'))
    (corpus / 'b.en.srt').unlink()
    os.rename(corpus / 'other.vtt', corpus / 'alone.vtt')
    extract(str(corpus), str(out), config, show_progress=False)
    now = load_features(out / 'speech')
    assert list(zip(now.videos, now.texts, strict=True)) == [
        ('a.mp4', 'a dog runs'), ('a.mp4', 'a bird'), ('alone.mp4', 'a dog runs'),
        ('alone.mp4', 'a cat'), ('below/a.mp4', 'on the grass')]
    assert [key for key in now.keys if key in before.values()] == [before['on the grass']]

    # With the last transcript go the passages, and with a video that cannot be read its own.
    for path in (corpus / 'a.vtt', corpus / 'a.srt', corpus / 'below/a.mp4.json'):
        path.unlink()
    (corpus / 'alone.mp4').write_bytes(b'no video')
    extract(str(corpus), str(out), config, show_progress=False)
    assert load_features(out / 'speech').videos == []


def test_whole_videos_get_no_passages(tmp_path, config):
    write_grey_video(tmp_path / 'a.mp4', num_frames=12)
    (tmp_path / 'a.vtt').write_text(VTT)
    whole = ExtractionConfig(**vars(config) | dict(windows=None))
    extract(str(tmp_path), str(tmp_path / 'out'), whole, show_progress=False)
    assert not (tmp_path / 'out/speech').exists()


def test_passages_end_at_pauses_and_after_ten_seconds():
    words = [[str(i), float(i), i + 1.0] for i in range(25)]
    assert passages_of(words) == [
        (' '.join(map(str, range(start, stop))), float(start), float(stop))
        for start, stop in ((0, 10), (10, 20), (20, 25))]
    assert passages_of([['a', 0.0, 30.0], ['b', 30.0, 31.0], ['c', 34.0, 35.0]]) == [
        ('a', 0.0, 30.0), ('b', 30.0, 31.0), ('c', 34.0, 35.0)]
    assert passages_of([]) == []


def test_files_without_a_video_and_addresses_are_let_be(tmp_path):
    (tmp_path / 'a.vtt').write_text(VTT)
    (tmp_path / '.b.vtt').write_text(VTT)
    assert transcripts_beside(str(tmp_path), ['http://a.mp4', 'b.mp4', 'gone/a.mp4']) == {}
    assert transcripts_beside(str(tmp_path), ['a.mp4']) == {'a.mp4': [f'{tmp_path}/a.vtt']}
