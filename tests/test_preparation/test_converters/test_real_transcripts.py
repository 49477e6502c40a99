"""Transcripts that real recognisers have written, beside a checkout (their licences differ)."""

from difflib import SequenceMatcher
from pathlib import Path
from statistics import median

import pytest

from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.preparation.converters import (
    convert_transcript_files,
    read_asr_json,
    read_subtitles,
)

SHARED = Path(__file__).parents[4] / 'shared'
TALK = SHARED / 'videos' / 'videogrep'
WHISPER = SHARED / 'annotations' / 'asr' / 'large_apollo11.mp3.words.json'

pytestmark = pytest.mark.skipif(not WHISPER.is_file(), reason=f'needs {SHARED.name}/ beside')


def distances(some: list, others: list) -> list[float]:
    """Seconds between the middles of the words that two transcripts of a talk share."""
    blocks = SequenceMatcher(
        a=[word for word, *_ in some], b=[word for word, *_ in others], autojunk=False)
    return [abs(sum(some[block.a + i][1:]) - sum(others[block.b + i][1:])) / 2
            for block in blocks.get_matching_blocks() for i in range(block.size)]


def test_three_files_of_one_talk_agree():
    vosk = read_asr_json(TALK / 'manifesto.json')
    youtube = read_subtitles(TALK / 'manifesto.vtt')
    lines = read_subtitles(TALK / 'manifesto.srt')
    assert [transcript['meta']['word_times'] for transcript in (vosk, youtube, lines)] == [
        'given', 'given', 'spread']
    # The .srt has the lines of the .vtt: nothing is taken twice, nothing is lost.
    assert [word for word, *_ in youtube['words']] == [word for word, *_ in lines['words']]
    timed, spread = distances(vosk['words'], youtube['words']), distances(
        vosk['words'], lines['words'])
    assert len(timed) > 0.85 * len(vosk['words'])
    # Two recognisers agree to a tenth of a second; words spread over their line are further off.
    assert median(timed) < 0.12 < 0.15 < median(spread) < 0.5


def test_the_video_of_the_talk(tmp_path):
    report = convert_transcript_files(read_subtitles, tmp_path / 'a.jsonl', patterns=['*.vtt'],
                                      videos=TALK)
    record, = load_transcripts(report.output)
    assert record['path'] == 'manifesto.mp4'
    assert record['words'][-1][2] <= record['duration']


def test_whisper():
    transcript = read_asr_json(WHISPER)
    assert transcript['meta'] == {'source': 'whisper', 'language': 'en', 'word_times': 'given'}
    assert [word for word, *_ in transcript['words'][:3]] == ['Apollo', '11,', 'Houston.']
    assert transcript['words'][0][1] == 0.36
