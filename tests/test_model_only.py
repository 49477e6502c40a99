"""Models train, and embed arrays, where no package of an extra is; each such package is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tvtsv2_mm.utils.extras import EXTRAS

PACKAGES = [(extra, module, package) for extra, packages in EXTRAS.items()
            for module, package in packages.items()]


@pytest.fixture(scope='module')
def messages():
    script = Path(__file__).with_name('model_only.py')
    done = subprocess.run([sys.executable, script], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_package_is_tried(messages):
    assert messages.keys() == {module for _, module, _ in PACKAGES}


@pytest.mark.parametrize(('extra', 'module', 'package'), PACKAGES)
def test_a_missing_package_is_named_with_its_extra(messages, extra, module, package):
    if module == 'mteb' and sys.version_info < (3, 11):
        pytest.skip('on Python 3.10 the extra has nothing of mteb, datasets included')
    assert messages[module].endswith(f"needs {package}: pip install 'tvtsv2_mm[{extra}]'")
