"""The site that docs/conf.py makes of the documents."""

import subprocess
import sys

import pytest

from tests.tiny_model import ROOT

JOBS = ['quickstart', 'search', 'features', 'evaluate', 'pretrain', 'finetuning', 'add-data',
        'bases', 'performance', 'scale', 'reliability', 'api/inferencer']


def build(source, out, *options):
    """Build as the commands in CONTRIBUTING.md and .readthedocs.yaml do."""
    return subprocess.run(
        [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-c', str(ROOT / 'docs'),
         *options, str(source), str(out)], capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    done = build(ROOT, tmp_path, '-d', str(tmp_path / 'read'))
    assert done.returncode == 0, done.stderr
    for name in JOBS:
        assert (tmp_path / 'docs' / f'{name}.html').is_file(), name
    assert 'docs/index.html' in (tmp_path / 'index.html').read_text()
    # Docstrings are there, and pictures and code that a page links to.
    assert 'list videos that cannot be read' in (tmp_path / 'docs/api/inferencer.html').read_text()
    assert 'TubeMask' in (tmp_path / 'docs/api/datasets.html').read_text()
    assert (tmp_path / '_images/freeze.png').is_file()
    assert [*tmp_path.glob('_downloads/*/webvid.py')]


@pytest.mark.parametrize(('link', 'told'), [
    ('[all is well](other.md#a-heading)', ''),
    ('[a page](gone.md)', 'gone'),
    ('[a heading](other.md#gone)', 'gone'),
    ('![a picture](gone.png)', 'gone.png'),
])
def test_a_broken_link_stops_the_build(tmp_path, link, told):
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs/index.md').write_text(
        f'# Title\n\n{link}\n\n```{{toctree}}\nother\n```\n')
    (tmp_path / 'docs/other.md').write_text('# Other\n\n## A heading\n')
    done = build(tmp_path, tmp_path / 'out')
    assert (done.returncode == 0) == (told == ''), done.stderr
    assert told in done.stderr
