import json

import pytest

from tvtsv2_mm.datasets.benchmarks import read_didemo, read_lsmdc, read_msrvtt


def told(splits):
    [split] = splits
    return {sample.name: sample.annotation['captions'] for sample in split.samples}


def test_msrvtt(write):
    path = write('a.csv', 'key,vid_key,video_id,sentence\n'
                          'ret0,msr9770,video9770,a person is connecting something\n'
                          'ret1,msr7,video7,"a man, a dog"\n')
    splits = read_msrvtt(path)
    assert told(splits) == {'video9770': ['a person is connecting something'],
                            'video7': ['a man, a dog']}
    assert splits[0].name == 'test.jsonl'
    assert splits[0].official == (1000, )
    with pytest.raises(ValueError, match='no column video_id, sentence; it has key'):
        read_msrvtt(write('b.csv', 'key\n1\n'))


def test_didemo_joins_the_descriptions_of_a_video(write):
    records = [('1@N0_2_3.mov', 'A dog.'), ('4@N0_5_6.', 'the sea '), ('1@N0_2_3.mp4', ' it barks'),
               ('1@N0_2_3.mov', 'it runs')]
    path = write('test_data.json', json.dumps(
        [dict(video=video, description=text, times=[[0, 0]]) for video, text in records]))
    splits = read_didemo(path)
    assert told(splits) == {'1@N0_2_3': ['A dog. it barks it runs'], '4@N0_5_6': ['the sea']}
    assert splits[0].official == (1004, 1003)
    # As the file of the videos may be named: 1@N0_2_3.mp4 or 1@N0_2_3.mov.mp4.
    assert splits[0].samples[0].stems == ('1@N0_2_3', '1@N0_2_3.mov', '1@N0_2_3.mp4')
    assert read_didemo(path, 'val')[0].name == 'val.jsonl'


@pytest.mark.parametrize(('text', 'message'), [
    ('{"video": 1}', 'a list of objects'), ('[{"video": "a.mov"}]', 'record 0 must have video, d'),
    ('[', 'is not json')])
def test_didemo_errors(write, text, message):
    path = write('test_data.json', text)
    with pytest.raises(ValueError, match=message):
        read_didemo(path)


LSMDC = ('1004_Juno_00.00.32.801-00.00.34.997\t00.00.32.801\t00.00.34.997\t00.00.32.801\t'
         '00.00.34.997\tSOMEONE says "hi", and leaves.\n')


@pytest.mark.parametrize('header', ['', 'clip\tsa\tea\tse\tee\tsentence\n'])
def test_lsmdc(write, header):
    splits = read_lsmdc(write('a.csv', header + LSMDC))
    assert told(splits) == {
        '1004_Juno_00.00.32.801-00.00.34.997': ['SOMEONE says "hi", and leaves.']}
    assert splits[0].samples[0].folder == '1004_Juno'
    assert splits[0].official == (1000, )


def test_lsmdc_errors(write):
    with pytest.raises(ValueError, match=r'line 2: six fields between tabs .*found 1'):
        read_lsmdc(write('a.csv', LSMDC + 'a,b,c\n'))
    path = write('b.csv')
    path.write_bytes(b'caf\xe9')
    with pytest.raises(ValueError, match=r'b\.csv is not a text file in UTF-8'):
        read_lsmdc(path)
    with pytest.raises(FileNotFoundError, match=r'no file .*c\.csv'):
        read_lsmdc(path.with_name('c.csv'))
