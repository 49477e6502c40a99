"""What tools make of the documents, and the results that they make it from."""

import json
import re
import subprocess
import sys

import pytest

from tests.tiny_model import ROOT

BLOCKS = ROOT / 'tools/docs/blocks.py'
RESULTS = sorted((ROOT / 'benchmarks/results').glob('*.json'))
DOCUMENTS = [path for path in sorted([*ROOT.glob('*.md'), *(
    path for folder in ('configs', 'docs', 'tests/data', 'tools')
    for path in (ROOT / folder).rglob('*.md'))]) if path.name != 'CHANGELOG.md']
TOOL = 'tools/benchmarks/tables.py'
DECODING = 'benchmarks/results/decoding_2-shared-cores_2026-11-24.json'


def run(*options):
    return subprocess.run([sys.executable, str(BLOCKS), *map(str, options)], capture_output=True,
                          text=True, timeout=300)


def test_all_blocks_of_the_documents_are_up_to_date():
    done = run('--check')
    assert done.returncode == 0, done.stdout + done.stderr
    assert '0 stale' in done.stdout


def test_a_stale_block_is_found_and_renewed(tmp_path):
    document, other = tmp_path / 'a.md', tmp_path / 'b.yml'
    text = (f'# Title\n\n<!-- made by {TOOL}: decoding {DECODING} -->\n| old |\n<!-- made -->\n'
            'behind it\n')
    document.write_text(text)
    other.write_text(f'  # made by {TOOL}: decoding {DECODING}\n  # made\n')
    checked = run('--check', document, other)
    assert checked.returncode == 1
    assert '2 stale' in checked.stdout
    assert 'python tools/docs/blocks.py' in checked.stderr
    assert document.read_text() == text
    assert '2 renewed' in run(document, other).stdout
    renewed = document.read_text()
    assert renewed.startswith(text.split('| old |')[0])
    assert renewed.endswith('|\n<!-- made -->\nbehind it\n')
    assert '\n| auto | H.264, 32 | 1.49 (1.12 to 2.46) | 26 MB |\n' in renewed
    assert '| old |' not in renewed
    assert run('--check', document, other).returncode == 0


@pytest.mark.parametrize(('text', 'message'), [
    (f'<!-- made by {TOOL}: decoding {DECODING} -->\nno end\n', 'no end of a block'),
    (f'<!-- made by {TOOL}: decoding {DECODING} -->\n<!-- made by {TOOL}: sizes x -->\n'
     '<!-- made -->\n', 'no end of a block'),
    ('<!-- made by tools/no_such.py: table -->\n<!-- made -->\n', 'no_such.py'),
])
def test_a_block_that_cannot_be_made_is_an_error(tmp_path, text, message):
    (tmp_path / 'a.md').write_text(text)
    done = run('--check', tmp_path / 'a.md')
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_are_there(path):
    """But CHANGELOG.md, which tells of what is gone, and examples (``tvtsv2_mm/a/b.py``)."""
    text = path.read_text('utf-8')
    named = re.findall(r'\b((?:tests|tools|tvtsv2_mm|configs|docs|requirements|benchmarks)/[\w./-]+'
                       r'\.(?:py|sh|md|txt|json|toml|yml|safetensors))\b', text)
    linked = [link for link in re.findall(r'\]\(([^)#\s]+)', text) if '://' not in link]
    gone = [name for name in named
            if not any((folder / name).exists() for folder in (ROOT, path.parent))
            and not re.search(r'\.\.\.|/a/b|_a/test_b', name)]
    gone += [link for link in linked if not (path.parent / link).exists()]
    assert not gone


@pytest.mark.parametrize('path', RESULTS, ids=lambda path: path.name)
def test_results_have_one_form(path):
    result = json.loads(path.read_text('utf-8'))
    fields = ['what', 'hardware', 'date', 'command', 'options', 'machine', 'versions',
              *['transcribed'] * ('transcribed' in result), 'units', 'rows']
    assert list(result) == fields
    assert path.name == f'{result["what"]}_{result["hardware"]}_{result["date"]}.json'
    assert result['command']
    assert result['versions']
    assert result['rows']
    for row in result['rows']:
        assert 'table' in row
        for field, value in row.items():
            assert isinstance(value, str) != (field in result['units']), field
    # No places on the machine on which it was measured.
    assert not re.search(r'["\s=]/\w', path.read_text('utf-8'))


def test_the_paper_has_these_parameters():
    text = (ROOT / 'docs/performance.md').read_text('utf-8')
    assert '| b32 | 116.2 | 28.4 | 63.4 |' in text
    assert '| b16 | 114.6 | 28.4 | 63.4 |' in text
    assert '| h14 | 842.1 | 210.0 | 354.0 |' in text
    assert '| b16 | 12 | 0.5 | 98 of 196 | 1177 |' in text
    assert '| h14 | 12 | 0.7 | 76 of 256 | 913 |' in text
