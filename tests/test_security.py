import re

from tests.tiny_model import ROOT


def test_every_test_of_the_table_of_attacks_exists():
    rows = [line for line in (ROOT / 'SECURITY.md').read_text('utf-8').splitlines()
            if line.startswith('| ')][1:]
    assert len(rows) > 15
    for row in rows:
        found = re.findall(r'`(tests/[\w/]+\.py)::(test_\w+)`', row)
        assert found, row
        for path, name in found:
            assert re.search(rf'^ *def {name}\(', (ROOT / path).read_text('utf-8'), re.M), row
