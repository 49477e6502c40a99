import pytest

from tvtsv2_mm.utils.errors import UserFileError, one_error, shortened


def test_a_message_that_holds_a_file_is_short():
    assert shortened('a.csv: no') == 'a.csv: no'
    long = shortened(f'a.csv: {"x" * 10**6} is no label')
    assert len(long) < 2100 and long.startswith('a.csv: x') and long.endswith('x is no label')
    assert str(UserFileError(f'a.csv: {"x" * 10**6} is no label')) == long
    with pytest.raises(ValueError, match=r'^a\.csv is damaged: x') as caught, one_error(
            'a.csv is damaged'):
        raise ValueError('x' * 10**6)
    assert len(str(caught.value)) < 2100
