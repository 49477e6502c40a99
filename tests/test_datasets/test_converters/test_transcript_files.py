import json

import pytest

from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.datasets.converters import (
    convert_transcript_files,
    read_asr_json,
    read_subtitles,
)
from tvtsv2_mm.datasets.converters.subtitles import PATTERNS

SRT = '1\n00:00:00,500 --> 00:00:01,500\nred ball\n'


def put(folder, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace('__', '.')).write_text(text)


def test_subtitles_beside_the_videos(videos, tmp_path):
    folder = videos('a.mp4', 'sub/b.c.mp4', 'alone.mp4')
    put(folder, a__srt=SRT, a__en__vtt='WEBVTT\n\n00:01.000 --> 00:02.000\nblue box\n',
        nobody__srt=SRT, alone__srt='')
    put(folder / 'sub', b__c__en__srt=SRT)
    report = convert_transcript_files(
        read_subtitles, tmp_path / 'a.jsonl', patterns=PATTERNS, videos=folder)
    assert load_transcripts(report.output) == [
        {'path': 'a.mp4', 'duration': 2.5, 'words': [['blue', 1.0, 1.5], ['box', 1.5, 2.0]],
         'meta': {'source': 'vtt', 'word_times': 'spread'}},
        {'path': 'sub/b.c.mp4', 'duration': 2.5, 'words': [['red', 0.5, 1.0], ['ball', 1.0, 1.5]],
         'meta': {'source': 'srt', 'word_times': 'spread'}}]
    dropped = dict(line.split('\t') for line in report.dropped_list.read_text().splitlines())
    assert dropped == {'a.srt': 'its video has a record already', 'alone.srt': 'it has no word',
                       'nobody.srt': 'there is no video file of its name'}


def test_json_in_a_folder_of_its_own(videos, tmp_path):
    whisper = {'segments': [{'start': 0.0, 'end': 2.0, 'text': 'go left'}]}
    put(tmp_path / 'json' / 'x', talk__mp4__words__json=json.dumps(whisper), bad__json='[')
    report = convert_transcript_files(
        read_asr_json, tmp_path / 'a.jsonl', patterns=['*.json'],
        videos=videos('x/talk.mp4', 'y/talk.mp4', 'bad.mp4'), transcripts=tmp_path / 'json',
        workers=2)
    assert load_transcripts(report.output) == [
        {'path': 'x/talk.mp4', 'duration': 2.5, 'segments': [['go left', 0.0, 2.0]],
         'meta': {'source': 'whisper'}}]
    assert report.reasons == {'it is neither the json of Whisper nor that of vosk': 1}


def test_a_broken_video_is_dropped(videos, tmp_path):
    folder = videos('a.mp4', 'b.mp4')
    (folder / 'a.mp4').write_bytes(b'')
    put(folder, a__srt=SRT, b__srt=SRT)
    report = convert_transcript_files(
        read_subtitles, tmp_path / 'a.jsonl', patterns=PATTERNS, videos=folder)
    assert report.num_written == 1
    assert 'a.srt\tits video file cannot be opened' in report.dropped_list.read_text()


def test_nothing_to_convert(videos, tmp_path):
    folder = videos('a.mp4')
    with pytest.raises(FileNotFoundError, match=r'no \*\.vtt or \*\.srt under'):
        convert_transcript_files(
            read_subtitles, tmp_path / 'a.jsonl', patterns=PATTERNS, videos=folder)
    with pytest.raises(FileNotFoundError, match='no folder'):
        convert_transcript_files(
            read_subtitles, tmp_path / 'a.jsonl', patterns=PATTERNS, videos=folder,
            transcripts=tmp_path / 'none')
