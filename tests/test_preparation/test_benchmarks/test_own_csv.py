import pytest

from tvtsv2_mm.preparation.benchmarks import read_own_csv


def test_labels(write):
    path = write('my.csv', 'path,label\na/1.mp4,running\na/2.mp4,jumping\n3.mp4,running\n')
    [split], names = read_own_csv(path)
    assert names == ['jumping', 'running']
    assert split.name == 'test.txt'
    assert [(s.name, s.folder, s.stems, s.label) for s in split.samples] == [
        ('a/1.mp4', 'a', ('1', ), 1), ('a/2.mp4', 'a', ('2', ), 0), ('3.mp4', '', ('3', ), 1)]


def test_splits_and_given_classes(write):
    path = write('my.csv', 'split,label,path\ntrain,run,1.mp4\ntest,0,2.mp4\n')
    splits, names = read_own_csv(path, classes=write('classes.txt', 'walk\nrun\n'))
    assert names == ['walk', 'run']
    assert {s.name: [(x.name, x.label) for x in s.samples] for s in splits} == {
        'train.txt': [('1.mp4', 1)], 'test.txt': [('2.mp4', 0)]}


def test_captions_of_a_video_stand_together(write):
    path = write('my.csv', 'path,caption\n1.mp4,"a dog, running"\n2.mp4,x\n1.mp4,a brown dog\n')
    [split], names = read_own_csv(path)
    assert (split.name, names) == ('test.jsonl', [])
    assert [(s.name, s.annotation) for s in split.samples] == [
        ('1.mp4', {'captions': ['a dog, running', 'a brown dog']}),
        ('2.mp4', {'captions': ['x']})]


@pytest.mark.parametrize(('text', 'message'), [
    ('path,class\n1.mp4,run\n', 'either "label" or "caption", found none'),
    ('path,label,caption\n1.mp4,run,x\n', 'found label and caption'),
    ('file,label\n1.mp4,run\n', 'no column path; it has file, label'),
    ('path,label\n1.mp4,\n', 'line 2: an empty field'),
    ('path,label\n1.mp4,run\n1.mp4,sit\n', "line 3: 1.mp4 has a label already, 'run'"),
    ('path,label\n1.mp4,0\n2.mp4,1\n', 'its labels are numbers; give the class names'),
    ('path,label\n', 'found none'),
])
def test_errors(write, text, message):
    path = write('my.csv', text)
    with pytest.raises(ValueError, match=message):
        read_own_csv(path)


def test_a_label_that_is_no_class(write):
    with pytest.raises(ValueError, match=r'my\.csv: 2, sit not among the 2 classes of'):
        read_own_csv(write('my.csv', 'path,label\n1.mp4,sit\n2.mp4,2\n3.mp4,run\n'),
                     classes=write('classes.txt', 'walk\nrun\n'))


def test_a_class_that_is_listed_twice(write):
    with pytest.raises(ValueError, match=r"classes\.txt, line 3: 'run' is listed already"):
        read_own_csv(write('my.csv', 'path,label\n1.mp4,run\n'),
                     classes=write('classes.txt', 'run\nwalk\nrun\n'))


def test_one_spelling_of_a_path(write):
    [split], _ = read_own_csv(write(
        'my.csv', 'path,caption\n./x//a.mp4,one\nx/a.mp4,two\nx\\\\a.mp4,one\n'.replace(
            '\\\\', '\\') + 'e\u0301.mp4,one\n\xe9.mp4,two\n'))
    assert [(s.name, s.annotation['captions']) for s in split.samples] == [
        ('x/a.mp4', ['one', 'two']), ('\xe9.mp4', ['one', 'two'])]
    assert split.remark == '1 captions that their video has already: left out'


@pytest.mark.parametrize('row', ['./1.mp4,sit', 'x/../1.mp4,sit', '1.mp4,sit,train'])
def test_two_labels_of_one_video(write, row):
    text = f'path,label,split\n1.mp4,run,test\n{row}{",test" * (row.count(",") < 2)}\n'
    with pytest.raises(ValueError, match=r"line 3: 1\.mp4 has a label already, 'run'"):
        read_own_csv(write('my.csv', text))


@pytest.mark.parametrize(('text', 'message'), [
    ('path,label\n../1.mp4,run\n', r'line 2: \.\./1\.mp4 leaves the folder'),
    ('path,label,split\n1.mp4,run,../x\n', r"line 2: split '\.\./x' is to name a file"),
    (f'path,label,split\n1.mp4,run,{"x" * 300}\n', 'is to name a file: .* at most 40'),
    # Two quotes that are not closed: as csv they are one field.
    ('path,caption\na.mp4,"one\nb.mp4,two\nc.mp4,three"\n', r'line 2: .* holds b\.mp4; is a quote'),
    ('caption,path\n"one,a.mp4\ntwo",b.mp4\n', r'line 2: .* holds a\.mp4; is a quote'),
    ('path,label\n1.mp4,run\n2.mp4,Run\n', "'Run' and 'run' differ in upper case or blanks"),
    ('path,label\n1.mp4,run  on\n2.mp4,run on\n', "'run  on' and 'run on' differ in"),
    ('path,label\n1.mp4,"run\non"\n2.mp4,sit\n', 'line 2: a label goes over several lines'),
    ('path,label\n/etc/1.mp4,run\n', 'line 2: /etc/1.mp4 leaves the folder'),
])
def test_what_is_suspicious_is_refused(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_own_csv(write('my.csv', text))


def test_a_caption_may_have_two_lines(write):
    [split], _ = read_own_csv(write('my.csv', 'path,caption\na.mp4,"red, round.\nIt rolls"\n'))
    assert split.samples[0].annotation['captions'] == ['red, round.\nIt rolls']
