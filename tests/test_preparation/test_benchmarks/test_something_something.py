import json

import pytest

from tvtsv2_mm.preparation.benchmarks import read_ssv2_mc

OPTIONS = ['Lifting a cup', 'Dropping a cup', 'Pushing a cup']


def told(splits):
    [split] = splits
    return [(sample.name, sample.annotation) for sample in split.samples]


@pytest.mark.parametrize(('file', 'record'), [
    ('val.jsonl', dict(clip_name='validation/12.webm', options=OPTIONS, answer='1')),
    ('val.json', dict(image='12.webm', option=OPTIONS, answer=1)),
    ('val.json', dict(video_id=12, neg_text=OPTIONS, pos_text='Dropping a cup')),
])
def test_every_layout_gives_the_same(write, file, record):
    text = json.dumps(record) if file.endswith('l') else json.dumps([record])
    splits, report = read_ssv2_mc(write(file, text))
    assert told(splits) == [('12', {'captions': OPTIONS, 'answer': 1})]
    assert report.summary() == '1 clips: 1 with 3 candidates'


def test_check_against_the_official_validation_set(write):
    validation = write('validation.json', json.dumps([
        {'id': '12', 'label': 'dropping a cup', 'template': 'Dropping [something]',
         'placeholders': ['a cup']},
        {'id': '13', 'label': 'lifting a pen', 'template': 'Lifting [something]',
         'placeholders': ['a pen']}]))
    records = [dict(clip_name='12.webm', options=OPTIONS, answer=1),
               dict(clip_name='13.webm', options=['Lifting something', 'Poking'], answer=0)]
    candidates = write('val.json', json.dumps(records))
    _, report = read_ssv2_mc(candidates, validation)
    assert report.agreement == {'label': 1, 'template': 1}
    assert '1 with 2 candidates, 1 with 3 candidates' in report.summary()
    records[1]['clip_name'] = '14.webm'
    with pytest.raises(ValueError, match=r'record 1: clip 14 is not in .*validation\.json'):
        read_ssv2_mc(write('val.json', json.dumps(records)), validation)


@pytest.mark.parametrize(('record', 'message'), [
    (dict(clip_name='a', options=OPTIONS, answer=3), 'answer is 3, but there are 3 candidates'),
    (dict(clip_name='a', options=OPTIONS, answer=-1), 'must be the index of a candidate'),
    (dict(clip_name='a', options='x', answer=0), 'options must be a list of texts'),
    (dict(video_id=1, neg_text=OPTIONS, pos_text='x'), 'must be one of neg_text'),
    (dict(clip='a', options=OPTIONS, answer=0), 'none of these sets of keys: clip_name'),
])
def test_errors(write, record, message):
    path = write('val.json', json.dumps([record]))
    with pytest.raises(ValueError, match=message):
        read_ssv2_mc(path)


def test_a_record_that_lacks_a_key(write):
    path = write('val.jsonl', '{"clip_name": "a", "options": ["x", "y"], "answer": 0}\n'
                              '{"clip_name": "b", "answer": 0}\n')
    with pytest.raises(ValueError, match="record 1: no 'options'"):
        read_ssv2_mc(path)
