import json

import pytest

from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.preparation.converters import (
    convert_transcript_files,
    read_asr_json,
    read_subtitles,
)
from tvtsv2_mm.preparation.options import SUBTITLE_PATTERNS as PATTERNS

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
    put(tmp_path / 'json' / 'x', talk__mp4__words__json=json.dumps(whisper), bad__JSON='[')
    report = convert_transcript_files(
        read_asr_json, tmp_path / 'a.jsonl', patterns=['*.json'],
        videos=videos('x/talk.mp4', 'y/talk.mp4', 'x/bad.mp4'), transcripts=tmp_path / 'json',
        workers=2)
    assert load_transcripts(report.output) == [
        {'path': 'x/talk.mp4', 'duration': 2.5, 'segments': [['go left', 0.0, 2.0]],
         'meta': {'source': 'whisper'}}]
    assert report.reasons == {'it is not the json of a speech recogniser that is known': 1}


def test_links_to_folders_of_transcripts(videos, tmp_path):
    folder = videos('x/a.mp4')
    put(tmp_path / 'elsewhere', a__srt=SRT, __x__srt=SRT)
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts/x').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere/back').symlink_to(tmp_path / 'texts')
    report = convert_transcript_files(read_subtitles, tmp_path / 'a.jsonl', patterns=PATTERNS,
                                      videos=folder, transcripts=tmp_path / 'texts')
    assert (report.num_read, report.num_written) == (1, 1)


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


def test_a_video_of_another_folder_is_another_video(videos, tmp_path):
    folder = videos('a/talk.mp4', 'a/one.mp4', 'b/two.mp4', 'lecture.mp4', 'u\u0308.mp4')
    texts = tmp_path / 'texts'
    put(texts / 'b', talk__srt=SRT)
    put(texts / 'c', one__srt=SRT, two__srt=SRT)
    put(texts / 'd', two__srt=SRT)
    put(texts, lecture__2__srt=SRT, ü__srt=SRT)

    def convert(**options):
        return convert_transcript_files(read_subtitles, tmp_path / 'a.jsonl', patterns=PATTERNS,
                                        videos=folder, transcripts=texts, **options)

    report = convert()
    assert [record['path'] for record in load_transcripts(report.output)] == ['u\u0308.mp4']
    assert report.reasons == {'a video file of its name is in another folder only': 4,
                              'there is no video file of its name': 1}
    assert 'lecture.2.srt\tthere is no' in report.dropped_list.read_text()
    report = convert(any_folder=True)
    assert [record['path'] for record in load_transcripts(report.output)] == [
        'a/talk.mp4', 'a/one.mp4', 'u\u0308.mp4']
    assert report.reasons['a video file of its name is in another folder only'] == 2


def test_words_beyond_the_video_are_counted(videos, tmp_path):
    folder = videos('a.mp4', 'b.mp4')
    put(folder, a__srt='1\n00:00:01,500 --> 00:00:03,500\nin at out out\n', b__srt=SRT.replace(
        '00:00:0', '00:01:0'))
    report = convert_transcript_files(
        read_subtitles, tmp_path / 'a.jsonl', patterns=PATTERNS, videos=folder)
    record, = load_transcripts(report.output)
    assert record['words'] == [['in', 1.5, 2.0], ['at', 2.0, 2.5]]
    assert report.reasons == {'it has no word (words beyond the end of the video: left out)': 1}
    assert report.remarks == {'words beyond the end of the video: left out': 2}
    assert '  2 words beyond the end of the video: left out\n' in report.summary()
