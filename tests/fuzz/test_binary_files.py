"""In a file of its own, so that pytest-xdist gives it to another core than the texts."""

import pytest

from tests.fuzz import stores, videos, weights
from tests.fuzz.checking import check


@pytest.mark.faults
@pytest.mark.parametrize('target', [*videos.TARGETS, *stores.TARGETS, *weights.TARGETS],
                         ids=lambda own: own.name)
def test_hostile_files_are_read_or_refused(target, tmp_path):
    check(target, tmp_path)
