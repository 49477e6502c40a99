"""What users type stays as it is, and is answered before anything heavy is imported."""

import json
import subprocess
import sys
from inspect import signature

import pytest

from tests.command_line import LIST, ROOT
from tvtsv2_mm import choices
from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
from tvtsv2_mm.evaluation.probes import PROBES


@pytest.fixture(scope='module')
def found():
    done = subprocess.run([sys.executable, '-m', 'tests.command_line', '--print'], cwd=ROOT,
                          text=True, capture_output=True, check=True)
    return json.loads(done.stdout)


def to_lines(options):
    return {f'{tool} {name}: {json.dumps(told)}' for tool, of_tool in options.items()
            for name, told in (of_tool.items() if isinstance(of_tool, dict) else [('', of_tool)])}


def test_the_options_are_those_of_the_list(found):
    options, _ = found
    listed = json.loads(LIST.read_text('utf-8'))
    gone, new = to_lines(listed) - to_lines(options), to_lines(options) - to_lines(listed)
    assert options == listed, '\n'.join([
        *(f'gone: {line}' for line in sorted(gone)), *(f'new: {line}' for line in sorted(new)),
        'a command line has changed: if it was meant to, python -m tests.command_line writes '
        f'{LIST.name} anew; who used what is gone needs a line in CHANGELOG.md'])


def test_help_and_wrong_options_need_nothing_heavy(found):
    _, loaded = found
    assert loaded == {}, 'import it where main() uses it, behind the reading of the command line'


def test_choices_and_defaults_are_those_of_what_does_the_work(found):
    options, _ = found
    assert tuple(PROBES) == choices.PROBES
    told = options['tools/data/inspect_annotations.py']
    defaults = {name: value.default for name, value in
                signature(SampleTranscriptSegments).parameters.items() if name != 'max_draws'}
    assert defaults == {
        'num_segments': told['--num-segments']['default'],
        'segment_seconds': tuple(told['--segment-seconds']['default']),
        'gap_seconds': told['--gap-seconds']['default']}
