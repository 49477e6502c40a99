import pickle

import pytest

from tvtsv2_mm.utils.errors import one_error
from tvtsv2_mm.utils.extras import MissingPackageError, needed_for


def test_what_no_extra_brings_is_no_missing_package():
    for error in (ModuleNotFoundError('no such module', name='tvtsv2_mm.av'), ImportError('libGL')):
        with pytest.raises(ImportError) as caught, needed_for('reading videos'):
            raise error
        assert caught.value is error


def test_it_goes_to_another_process_and_is_no_fault_of_a_file():
    with (pytest.raises(MissingPackageError) as caught, one_error('a.json is damaged'),
          needed_for('reading videos')):
        raise ModuleNotFoundError(name='av.video')
    told = "reading videos needs av: pip install 'tvtsv2_mm[video]'"
    assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value))) == told
