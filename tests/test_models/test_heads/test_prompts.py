import pytest

from tvtsv2_mm.models.heads.prompts import PROMPTS, read_prompts


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
