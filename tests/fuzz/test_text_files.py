import pytest

from tests.fuzz import texts
from tests.fuzz.checking import check


@pytest.mark.faults
@pytest.mark.parametrize('target', texts.TARGETS, ids=lambda own: own.name)
def test_hostile_files_are_read_or_refused(target, tmp_path):
    check('annotations, converters, configs', target, tmp_path)
