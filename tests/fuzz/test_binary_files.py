"""In a file of its own, so that pytest-xdist gives it to another core than the texts."""

import pytest

from tests.fuzz import stores, videos, weights
from tests.fuzz.checking import check


@pytest.mark.faults
@pytest.mark.parametrize(('part', 'target'), [
    pytest.param(part, target, id=target.name) for part, module in {
        'videos': videos, 'shards and stores': stores, 'weights and models': weights}.items()
    for target in module.TARGETS])
def test_hostile_files_are_read_or_refused(part, target, tmp_path):
    check(part, target, tmp_path)
