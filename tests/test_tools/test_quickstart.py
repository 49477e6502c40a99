import copy
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tvtsv2_mm.experiments import quickstart
from tvtsv2_mm.experiments.quickstart import beats_all, run_seed, seeds_table, write_report
from tvtsv2_mm.experiments.scale import Scale
from tvtsv2_mm.experiments.stages import Stages
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions
from tvtsv2_mm.utils.extras import MissingPackageError

REPO = Path(__file__).parents[2]
MINI = Scale(
    data=NarratedShapesOptions(transcript_videos=(32, 6), clip_rounds=(1, 1), order_clips=(0, 0)),
    epochs=(('tiny_clip', 1), ('tiny_pretrain', 1), ('tiny_linear-probe', 1)), repeats=1)


# All tests of it are marked slow: the first one waits for it.
@pytest.fixture(scope='module', params=[pytest.param('', marks=pytest.mark.slow, id='slow')])
def finished(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('quickstart')
    return work_dir, run_seed(work_dir, seed=3, scale=MINI,
                              config_dir=REPO / 'configs' / 'tvtsv2')


def test_every_stage_leaves_figures_and_a_picture(finished, tmp_path):
    _, run = finished
    assert set(run['figures']) == {'zero-shot', 'retrieval', 'sorting', 'linear-probe',
                                   'frame-matching'}
    for protocol in ('zero-shot', 'retrieval', 'sorting', 'linear-probe'):
        assert set(run['figures'][protocol]) == {'untrained', 'clip', 'tvtsv2'}
    assert Path(run['picture']).read_bytes().startswith(b'\x89PNG')
    table = write_report(tmp_path, [run])
    assert 'linear probe' in table and 'tiny CLIP' in table
    assert json.loads((tmp_path / 'figures.json').read_text(encoding='utf-8'))[0]['seed'] == 3


def test_a_second_run_does_nothing_and_says_the_same(finished, capsys):
    work_dir, run = finished
    before = {path: path.stat().st_mtime_ns for path in work_dir.rglob('*')}
    again = run_seed(work_dir, seed=3, scale=MINI, config_dir=REPO / 'configs' / 'tvtsv2')
    assert again == run
    assert {path: path.stat().st_mtime_ns for path in work_dir.rglob('*')} == before
    out = capsys.readouterr().out
    assert out.count('finished before') == 18
    assert '[18/18]' in out


def test_tvtsv2_starts_from_the_tiny_clip_with_its_text_side_partly_frozen(finished):
    from mmengine.runner import CheckpointLoader
    work_dir, _ = finished
    states = {}
    for name in ('clip', 'tvtsv2'):
        path = json.loads((work_dir / name / 'done.json').read_text(encoding='utf-8'))['checkpoint']
        states[name] = CheckpointLoader.load_checkpoint(path, map_location='cpu')['state_dict']
    frozen = 'neck.clip.text_model.encoder.layers.0.mlp.fc1.weight'
    tuned = 'neck.clip.text_model.encoder.layers.2.mlp.fc1.weight'
    assert states['clip'][frozen].equal(states['tvtsv2'][frozen])
    assert not states['clip'][tuned].equal(states['tvtsv2'][tuned])
    assert not any('timeattn' in key or 'sorting_head' in key for key in states['clip'])
    assert any('timeattn' in key for key in states['tvtsv2'])


def test_stages_are_done_again_when_their_inputs_change(tmp_path):
    done = []

    def work(folder):
        done.append(folder.name)
        return {'value': len(done)}

    def run(option):
        stages = Stages(tmp_path, total=2, title='t')
        first = stages.run('first', {'option': option}, work)
        return stages.run('second', {'first': first['stamp']}, work)['value']

    assert (run(1), run(1), done) == (2, 2, ['first', 'second'])
    assert run(2) == 4


def test_a_failing_stage_leaves_no_stamp(tmp_path):
    def fail(folder):
        raise RuntimeError('no')

    with pytest.raises(RuntimeError, match='no'):
        Stages(tmp_path, total=1, title='t').run('one', {}, fail)
    assert Stages(tmp_path, total=1, title='t').run('one', {}, lambda folder: {'a': 1})['a'] == 1


def figures(own: float, other: float) -> dict:
    def models(*metrics):
        return {model: dict.fromkeys(metrics, value)
                for model, value in (('untrained', 1.0), ('clip', other), ('tvtsv2', own))}
    return {'zero-shot': models('acc/top1'), 'retrieval': models('t2v/R1', 'v2t/R1'),
            'sorting': models('sorting/per_transcript'), 'linear-probe': models('acc/top1'),
            'frame-matching': {'clip': {'sorting/per_transcript': 40.0}}}


def test_better_must_be_clear_in_every_row():
    assert beats_all(figures(80.0, 40.0)) == []
    assert len(beats_all(figures(43.0, 40.0))) == 5  # by less than 5 points
    assert len(beats_all(figures(20.0, 0.0))) == 3  # chance of recognition and sorting
    one_weak = copy.deepcopy(figures(80.0, 40.0))
    one_weak['retrieval']['tvtsv2']['v2t/R1'] = 39.0
    assert beats_all(one_weak) == ['video-to-text retrieval, 108 videos, R@1: 39.0 against 40.0']


def test_several_seeds_give_mean_and_spread():
    runs = [{'figures': figures(own, 40.0)} for own in (70.0, 80.0, 90.0)]
    table = seeds_table(runs)
    assert '| 80.0 ± 10.0 |' in table
    assert '| 16.7 | 1.0 ± 0.0 | 40.0 ± 0.0 |' in table


def test_the_command_knows_its_options(tmp_path):
    env = os.environ | {'PYTHONPATH': str(REPO)}
    done = subprocess.run([sys.executable, REPO / 'tools/quickstart.py', '--seeds', 'x'],
                          capture_output=True, text=True, cwd=tmp_path, env=env, check=False)
    assert done.returncode == 2
    assert "invalid int value: 'x'" in done.stderr


def test_a_missing_package_is_one_line(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise MissingPackageError('it needs av')

    monkeypatch.setattr(quickstart, 'run_seed', fail)
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', '--work-dir', str(tmp_path)])
    with pytest.raises(SystemExit, match=r'^error: it needs av$'):
        runpy.run_path(str(REPO / 'tools/quickstart.py'), run_name='__main__')
