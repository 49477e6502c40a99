import json

import pytest

from tvtsv2_mm.datasets.annotations import AnnotationError
from tvtsv2_mm.preparation.inspection.survey import survey_file


def write(path, lines) -> str:
    path.write_text(''.join(
        (line if isinstance(line, str) else json.dumps(line)) + '\n' for line in lines))
    return str(path)


def test_transcripts(tmp_path):
    path = write(tmp_path / 'a.jsonl', [
        {'path': 'a', 'duration': 60, 'words': [['go', 0, 1], ['left', 0.5, 2]],
         'meta': {'word_times': 'given'}},
        '{',
        {'path': 'b', 'duration': 120, 'segments': [['a b c', 10, 20], ['d', 30, 31]]},
        {'path': 'c', 'duration': 'x', 'words': []},
        {'path': 'c', 'duration': 'y', 'words': []},
        {'path': 'd', 'duration': 180, 'words': []},
        {'path': 'e', 'duration': 3, 'words': [['too', 1, 2], ['late', 3, 3]]}])
    survey = survey_file(path)
    assert survey.kind == 'transcripts'
    assert (survey.num_records, survey.seconds, survey.spoken_seconds) == (4, 363, 14)
    assert (survey.num_texts, survey.num_silent, survey.num_spread_words) == (8, 1, 4)
    assert survey.num_too_long == 1
    assert survey.word_times == {'given': 1, 'spread': 1, 'not said': 2}
    assert sorted(survey.bad_lines.values()) == [1, 2]
    assert survey.bad_lines['"duration" must be seconds, N to N, not ...'] == 2
    assert survey.first_bad_line.startswith(f'{path}, line 2: not a JSON object')
    assert [record['path'] for record in survey.sample] == ['a', 'b', 'd', 'e']
    assert ('words per minute of video', '1.3') in survey.rows()


def test_captions(tmp_path):
    path = write(tmp_path / 'a.jsonl', [
        {'path': 'a', 'captions': ['a dog runs', 'a dog'], 'start': 2, 'end': 5.5},
        {'path': 'b', 'captions': ['x']},
        {'path': 'c', 'duration': 9, 'words': []}])
    survey = survey_file(path)
    assert (survey.kind, survey.seconds, survey.num_texts, survey.num_caption_words,
            survey.num_without_duration) == ('captions', 3.5, 3, 6, 1)
    assert survey.bad_lines.total() == 1


def test_the_sample_is_drawn_from_all_lines(tmp_path):
    path = write(tmp_path / 'a.jsonl', [{'path': str(i), 'captions': ['x']} for i in range(400)])
    drawn = [int(record['path']) for record in survey_file(path, sample_size=40).sample]
    assert len(set(drawn)) == 40
    assert drawn == sorted(drawn)
    # 40 of 400 at random: their mean is 200, give or take 18.
    assert 120 < sum(drawn) / 40 < 280
    assert drawn != [int(record['path'])
                     for record in survey_file(path, sample_size=40, seed=1).sample]


def test_causes_are_bounded(tmp_path):
    good = {'path': 'a', 'captions': ['x']}
    bad = [good | {f'key{chr(97 + i // 26)}{chr(97 + i % 26)}': 1} for i in range(100)]
    survey = survey_file(write(tmp_path / 'a.jsonl', [good, *bad]))
    assert survey.bad_lines.total() == 100
    assert len(survey.bad_lines) == 31


@pytest.mark.parametrize('line', ['[1]', 'a.mp4 3', '{"path": "a.mp4"}'])
def test_not_an_annotation_file(tmp_path, line):
    path = write(tmp_path / 'a.txt', [line])
    with pytest.raises(AnnotationError, match=r'no line of .*a\.txt is a record'):
        survey_file(path)
