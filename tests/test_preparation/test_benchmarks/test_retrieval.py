import json

import pytest

from tvtsv2_mm.preparation.benchmarks import read_didemo, read_lsmdc, read_msrvtt


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


MSRVTT_TEST = 'key,vid_key,video_id,sentence\nret0,msr9,video9,a test\n'


def msrvtt_json(*videos):
    """As in train_val_videodatainfo.json: two sentences a video, in turn."""
    return json.dumps(dict(
        info={}, videos=[dict(video_id=name, split=split) for name, split in videos],
        sentences=[dict(video_id=name, caption=f'{word} {name}', sen_id=0)
                   for word in ('first', 'second ') for name, _ in videos]))


def test_msrvtt_training_captions(write):
    test = write('test.csv', MSRVTT_TEST)
    first = write('a.json', msrvtt_json(('video1', 'train'), ('video2', 'validate')))
    second = write('b.json', msrvtt_json(('video7', 'test')))
    _, train = read_msrvtt(test, train=[first])
    assert told([train]) == {'video1': ['first video1', 'second  video1']}
    assert (train.name, train.official, train.captions_only) == ('train.jsonl', (6513, ), True)
    listed = write('9k.csv', 'video_id\nvideo7\nvideo1\n')
    _, train = read_msrvtt(test, train=[first, second], train_list=listed)
    assert list(told([train])) == ['video7', 'video1']
    assert train.official == (9000, 7010)
    with pytest.raises(ValueError, match=r'no sentence of 1 training videos, video7; is test_'):
        read_msrvtt(test, train=[first], train_list=listed)
    with pytest.raises(ValueError, match=r'9k\.csv names training videos.* give --train'):
        read_msrvtt(test, train_list=listed)


@pytest.mark.parametrize(('text', 'message'), [
    ('[]', 'an object with the list "videos"'), ('{"videos": 1}', 'videos: a list of objects'),
    ('{"videos": [{"video_id": "a"}]}', 'videos: record 0 must have video_id, split')])
def test_msrvtt_errors(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_msrvtt(write('test.csv', MSRVTT_TEST), train=[write('a.json', text)])


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
    [train] = read_didemo(path, 'train')
    assert (train.name, train.captions_only) == ('train.jsonl', True)


@pytest.mark.parametrize(('text', 'message'), [
    ('{"video": 1}', 'a list of objects'), ('[{"video": "a.mov"}]', 'record 0 must have video, d'),
    ('[{"video": "a.mov", "description": "x"}, {"video": "a.mov", "description": null}]',
     'record 1 must have video, description, each a text'),
    ('[', 'is not json'), ('[' * 100_000, 'is not json')])
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


def test_lsmdc_training_captions(write):
    # A clip's name is not unique: it may have several sentences.
    other = LSMDC.replace('SOMEONE', 'And').replace('.34.997\t', '.34.998\t')
    _, train = read_lsmdc(write('a.csv', LSMDC), train=write('b.csv', LSMDC + LSMDC + other))
    assert [len(captions) for captions in told([train]).values()] == [2, 1]
    assert (train.name, train.captions_only) == ('train.jsonl', True)


def test_lsmdc_errors(write):
    with pytest.raises(ValueError, match=r'line 2: six fields between tabs .*found 1'):
        read_lsmdc(write('a.csv', LSMDC + 'a,b,c\n'))
    path = write('b.csv')
    path.write_bytes(b'caf\xe9')
    with pytest.raises(ValueError, match=r'b\.csv is not a text file in UTF-8'):
        read_lsmdc(path)
    with pytest.raises(FileNotFoundError, match=r'no file .*c\.csv'):
        read_lsmdc(path.with_name('c.csv'))


@pytest.mark.parametrize('listed', [False, True])
def test_msrvtt_files_with_the_same_videos(write, listed):
    first = write('a.json', msrvtt_json(('video1', 'train')))
    second = write('b.json', msrvtt_json(('video1', 'train'), ('video9', 'test')))
    train_list = write('9k.csv', 'video_id\nvideo1\n') if listed else None
    with pytest.raises(ValueError, match=r'b\.json: the sentences of 1 videos, video1, are in an'):
        read_msrvtt(write('test.csv', MSRVTT_TEST), train=[first, second], train_list=train_list)


def test_half_a_character_is_refused(write):
    path = write('a.json', '[{"video": "a.mov", "description": "\\ud800"}]')
    with pytest.raises(ValueError, match=r'a\.json is not json \(it holds half a character'):
        read_didemo(path)
