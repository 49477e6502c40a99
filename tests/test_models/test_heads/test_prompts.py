import pytest

from tvtsv2_mm.models.heads.prompts import PROMPTS, read_classes, read_prompts


def test_named_lists():
    assert read_prompts('paper') == ['a person {}']
    assert len(set(PROMPTS['clip_ucf101'])) == 48
    assert len(set(PROMPTS['clip_kinetics'])) == 28
    for expected in ('a photo of a person {}.', 'a demonstration of the person practicing {}.'):
        assert expected in PROMPTS['clip_ucf101']
    for expected in ('a photo of {}.', 'a example of a person during {}.'):
        assert expected in PROMPTS['clip_kinetics']


def test_own_lists(tmp_path):
    path = tmp_path / 'prompts.txt'
    path.write_text('{} outside\n\n  a film of {}\n', encoding='utf-8-sig')
    assert read_prompts(str(path)) == ['{} outside', 'a film of {}']
    assert read_prompts(['{}!']) == ['{}!']


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.txt.*clip_ucf101'):
        read_prompts(str(tmp_path / 'nowhere.txt'))
    with pytest.raises(ValueError, match='empty'):
        read_prompts([])
    with pytest.raises(ValueError, match='exactly one'):
        read_prompts(['{} and {}'])
    for text, message in (('a person\n', "'a person' must hold exactly one"), ('\n', ' is empty')):
        (tmp_path / 'own.txt').write_text(text)
        with pytest.raises(ValueError, match=rf'own\.txt.*{message}'):
            read_prompts(str(tmp_path / 'own.txt'))
    (tmp_path / 'latin.txt').write_bytes('{} grün'.encode('latin-1'))
    with pytest.raises(ValueError, match=r'latin\.txt is not a text file in UTF-8'):
        read_prompts(str(tmp_path / 'latin.txt'))


def test_classes(tmp_path):
    path = tmp_path / 'classes.txt'
    path.write_bytes(b'\xef\xbb\xbfrunning\r\n eating soup \n\n')
    assert read_classes(str(path)) == ['running', 'eating soup']
    assert read_classes(('running', 'eating soup')) == ['running', 'eating soup']


@pytest.mark.parametrize(('text', 'message'), [
    ('', r'classes\.txt is empty'),
    ('running\n\nwaving', r'classes\.txt, line 2: the name of a class is needed'),
    ('running\nwaving\nrunning', "line 3: 'running' is .*line 1 already")])
def test_bad_class_files(tmp_path, text, message):
    """An empty line would shift all labels behind it; two equal names cannot be told apart."""
    path = tmp_path / 'classes.txt'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_classes(str(path))


@pytest.mark.parametrize(('classes', 'message'), [
    (['a', ' '], 'class 1: the name'), (['a', 3], 'class 1: the name'),
    (['a', 'b', 'a'], "class 2: 'a' is class 0 already")])
def test_bad_lists_of_classes(classes, message):
    with pytest.raises(ValueError, match=message):
        read_classes(classes)
