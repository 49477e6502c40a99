import json
import runpy
import sys

import pytest

if sys.version_info < (3, 11):
    pytest.skip('mteb asks for Python 3.11', allow_module_level=True)

import mteb

from tests.mteb_tasks import Find, Label
from tests.tiny_model import ROOT, save_tiny_checkpoint

TASKS = dict(Find=Find, Label=Label)


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    checkpoint = save_tiny_checkpoint(tmp_path / 'tiny.pth')
    monkeypatch.setattr(mteb, 'get_task', lambda name: TASKS[name]())

    def tool(*words):
        monkeypatch.setattr(sys, 'argv', ['mteb_eval.py', str(tmp_path / 'out'), *words, '-C',
                                          str(checkpoint), '--device', 'cpu', '--num-workers', '0'])
        runpy.run_path(str(ROOT / 'tools' / 'mteb_eval.py'), run_name='__main__')
        return capsys.readouterr().out
    return tool


def test_from_a_checkpoint_to_mtebs_folder(call, tmp_path):
    printed = call('--tasks', 'Find', 'Label', '--meta', 'name=us/ours', 'license=mit')
    scores = {}
    for name in TASKS:
        [file] = (tmp_path / 'out' / 'results' / 'us__ours').glob(f'*/{name}.json')
        [scores[name]] = json.loads(file.read_text())['scores']['test']
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines()
            if line.startswith('|')]
    assert rows[0] == ['task', 'main score', 'seconds']
    assert [row[:2] for row in rows[1:]] == [
        [name, f'{score["main_score"]:.4f}'] for name, score in scores.items()]
    assert json.loads((file.parent / 'model_meta.json').read_text())['license'] == 'mit'


@pytest.mark.parametrize(('words', 'told'), [
    (['--tasks', 'Fnid'], 'error: mteb has no task and no benchmark of this name'),
    (['--tasks', 'Find', '--meta', 'nameof=us/ours'], "error: mteb's ModelMeta has no nameof"),
])
def test_a_wrong_word_is_one_error(call, capsys, words, told):
    with pytest.raises(SystemExit):
        call(*words)
    assert told in capsys.readouterr().err
