import pytest

from tvtsv2_mm.datasets.benchmarks import read_own_csv


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
