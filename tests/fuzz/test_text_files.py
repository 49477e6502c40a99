import pytest

from tests.fuzz import requests, texts
from tests.fuzz.checking import check


@pytest.mark.faults
@pytest.mark.parametrize('target', texts.TARGETS, ids=lambda own: own.name)
def test_hostile_files_are_read_or_refused(target, tmp_path):
    check('annotations, converters, configs', target, tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize('target', requests.TARGETS, ids=lambda own: own.name)
def test_hostile_requests_are_answered_or_refused(target, tmp_path):
    check('requests to the page', target, tmp_path)
