import pytest

from tvtsv2_mm.preparation.benchmarks import (
    official_class_names,
    read_hmdb51,
    read_kinetics,
    read_ucf101,
)


def told(splits):
    return {split.name: [(sample.name, sample.label) for sample in split.samples]
            for split in splits}


@pytest.fixture
def hmdb51(write):
    for name in official_class_names('hmdb51'):
        # The official lines end with a space.
        write(f'hmdb/{name}_test_split2.txt',
              f'{name}_x_0.avi 1 \n{name}_x_1.avi 2 \n{name}_x_2.avi 0 \n')
    return write('hmdb/wave_test_split2.txt', 'Q&A!_wave.avi 2 \n').parent


def test_hmdb51(hmdb51):
    splits = read_hmdb51(hmdb51, 2)
    files = told(splits)
    assert list(files) == ['train_split2.txt', 'test_split2.txt']
    assert len(files['train_split2.txt']) == 50
    assert files['train_split2.txt'][1] == ('cartwheel/cartwheel_x_0.avi', 1)
    assert files['test_split2.txt'][0] == ('brush_hair/brush_hair_x_1.avi', 0)
    assert files['test_split2.txt'][-1] == ('wave/Q&A!_wave.avi', 50)
    assert [split.official for split in splits] == [(3570, ), (1530, )]
    assert splits[1].samples[-1].stems == ('Q&A!_wave', )
    assert splits[1].samples[-1].folder == 'wave'


def test_hmdb51_errors(hmdb51, write):
    with pytest.raises(ValueError, match='no split 4; there are 1, 2, 3'):
        read_hmdb51(hmdb51, 4)
    with pytest.raises(FileNotFoundError, match=r'brush_hair_test_split1\.txt'):
        read_hmdb51(hmdb51, 1)
    with pytest.raises(FileNotFoundError, match='no folder'):
        read_hmdb51(hmdb51 / 'nowhere')
    path = write('hmdb/chew_test_split2.txt', 'a.avi 1\nb.avi 3\n')
    with pytest.raises(ValueError, match=f'{path}, line 2: expected a file and 0, 1 or 2'):
        read_hmdb51(hmdb51, 2)


@pytest.fixture
def ucf101(write):
    names = official_class_names('ucf101')
    write('ucf/classInd.txt', ''.join(f'{i} {name}\r\n' for i, name in enumerate(names, 1)))
    write('ucf/trainlist01.txt', 'ApplyLipstick/v_ApplyLipstick_g08_c01.avi 2\r\n')
    return write('ucf/testlist01.txt', 'HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n'
                                       'YoYo/v_YoYo_g01_c01.avi\r\n').parent


def test_ucf101(ucf101):
    splits = read_ucf101(ucf101)
    assert told(splits) == {
        'train_split1.txt': [('ApplyLipstick/v_ApplyLipstick_g08_c01.avi', 1)],
        'test_split1.txt': [('HandstandPushups/v_HandStandPushups_g01_c01.avi', 36),
                            ('YoYo/v_YoYo_g01_c01.avi', 100)]}
    assert [split.official for split in splits] == [(9537, ), (3783, )]


@pytest.mark.parametrize(('file', 'text', 'message'), [
    ('trainlist01.txt', 'ApplyLipstick/v.avi 1\n', 'line 1: expected "Class/file.avi"'),
    ('testlist01.txt', 'Juggling/v.avi\n', 'line 1: expected "Class/file.avi"'),
    ('classInd.txt', '1 Archery\n', 'not the 101 classes of UCF101'),
])
def test_ucf101_errors(ucf101, write, file, text, message):
    write(f'ucf/{file}', text)
    with pytest.raises(ValueError, match=message):
        read_ucf101(ucf101)


def test_kinetics400(write):
    path = write('val.csv', 'label,youtube_id,time_start,time_end,split,is_cc\n'
                            '"using segway",--abc,28,38,val,0\n'
                            "massaging person's head,xyz,1.0,11.0,val,0\n")
    [split] = read_kinetics('kinetics400', {'val': path})
    assert told([split]) == {'val.txt': [('--abc_000028_000038', 375), ('xyz_000001_000011', 196)]}
    assert split.samples[0].stems == ('--abc_000028_000038', '--abc')
    assert split.samples[0].folder == 'using segway'
    assert split.official == (19906, )


@pytest.mark.parametrize(('text', 'message'), [
    ('label,youtube_id,time_start\nyoga,a,1\n', 'no column time_end; it has label, youtube_id'),
    ('label,youtube_id,time_start,time_end\nyogi,a,1,2\n', "line 2: 'yogi' is no class"),
    ('label,youtube_id,time_start,time_end\nyoga,a,1\n', 'line 2: another number of fields'),
    ('label,youtube_id,time_start,time_end\nyoga,a,1,inf\n', "must be seconds, found '1' and 'i"),
    ('label,youtube_id,time_start,time_end\nyoga,a,3,2\n', "must be seconds, found '3' and '2'"),
    ('label,youtube_id,time_start,time_end\nyoga,a,1,x\n', "must be seconds, found '1' and 'x'"),
])
def test_kinetics400_errors(write, text, message):
    path = write('val.csv', text)
    with pytest.raises(ValueError, match=message):
        read_kinetics('kinetics400', {'val': path})
