from pathlib import Path

import pytest

from tvtsv2_mm.utils import processor

AMD = """\
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
cpu MHz\t\t: 2445
"""


@pytest.mark.parametrize(('cpuinfo', 'told'), [
    (2 * AMD, ('AuthenticAMD', 'AMD EPYC family 25 model 17')),
    ('CPU implementer\t: 0x41\n', ('', 'arm64')), (None, ('', 'arm64'))])
def test_what_is_told(monkeypatch, cpuinfo, told):
    def read(path):
        assert path == Path('/proc/cpuinfo')
        if cpuinfo is None:
            raise FileNotFoundError
        return cpuinfo
    monkeypatch.setattr(processor.Path, 'read_text', read)
    monkeypatch.setattr(processor.platform, 'processor', lambda: '')
    monkeypatch.setattr(processor.platform, 'machine', lambda: 'arm64')
    assert processor.processor() == told
