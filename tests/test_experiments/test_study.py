import json
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

from tvtsv2_mm.experiments import protocols
from tvtsv2_mm.experiments.study import (
    PARTS,
    SMOKE,
    run_part,
    search_rates,
    write_report,
    write_search,
)
from tvtsv2_mm.experiments.study.report import part_table
from tvtsv2_mm.experiments.study.runs import _Run
from tvtsv2_mm.experiments.study.settings import BEST_RATE, RATES, SCORES, SETTINGS
from tvtsv2_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs' / 'tvtsv2'
DOCS = CONFIGS.parents[1] / 'docs'
SEARCHED = {name for name, setting in SETTINGS.items() if setting.rate is None}


@pytest.fixture
def run(tmp_path):
    return _Run(tmp_path, seed=5, scale=SMOKE, config_dir=CONFIGS, total=1, title='test')


def tuned_text(model: dict) -> int:
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        neck = MODELS.build(model).neck
    return sum(value.numel() for value in neck.parameters() if value.requires_grad)


def test_settings_differ_in_one_thing_from_the_papers(run):
    own = run._pretraining(SETTINGS['tvtsv2']).to_dict()
    for name, setting in SETTINGS.items():
        other = run._pretraining(setting).to_dict()
        changed = {key for key in own if own[key] != other[key]}
        differs = setting.mask != 0.5 or setting.captions != 'spoken'
        assert changed - {'optim_wrapper'} == ({'model'} if setting.model else set()) | (
            {'train_dataloader'} if differs else set()), name
        assert other['optim_wrapper']['optimizer']['lr'] == (setting.rate or BEST_RATE)
        other['optim_wrapper']['optimizer']['lr'] = own['optim_wrapper']['optimizer']['lr']
        assert other['optim_wrapper'] == own['optim_wrapper']


def test_the_rate_is_the_best_of_the_search():
    run, = json.loads((DOCS / 'study' / 'search.json').read_text('utf-8')).values()
    assert set(run) == SEARCHED
    for name, scores in run.items():
        assert {float(rate) for rate in scores} == set(RATES), name
        sums = {rate: sum(found[kind] for kind in SCORES) for rate, found in scores.items()}
        assert float(max(sums, key=sums.__getitem__)) == BEST_RATE, name


def test_captions_that_tell_no_motion_are_read(run):
    files = {name: run._pretraining(SETTINGS[name]).train_dataloader.dataset.datasets[1].dataset
             for name in ('tvtsv2', 'tvtsv2-things')}
    assert {name: Path(one.ann_file).name for name, one in files.items()} == {
        'tvtsv2': 'spoken_train.jsonl', 'tvtsv2-things': 'spoken_things_train.jsonl'}


def test_a_search_trains_each_setting_at_each_rate(tmp_path, monkeypatch):
    rates = {}

    def train(self, name, rate):
        return {'name': name, 'rate': self._pretraining(replace(SETTINGS[name], rate=rate))
                .optim_wrapper.optimizer.lr}

    def measure(self, kind, name, checkpoint):
        rates.setdefault(checkpoint['name'], set()).add(checkpoint['rate'])
        assert name == f'{checkpoint["name"]}_{checkpoint["rate"]:g}'
        value = 10.0 if kind == 'things' else round(1e4 * checkpoint['rate'])
        return dict.fromkeys(SCORES[kind], value)

    monkeypatch.setattr(_Run, 'make_base', lambda self: None)
    monkeypatch.setattr(_Run, 'train', train)
    monkeypatch.setattr(_Run, '_measure', measure)
    guard = {'guard/drift': 0.5, 'guard/fall': 6.0}
    monkeypatch.setattr(_Run, '_guard', lambda self, name: guard | {'guard/warned/drift': 100.0})
    found = search_rates(tmp_path, seed=3, scale=SMOKE, config_dir=CONFIGS)
    assert rates == {name: set(RATES) for name in SEARCHED}
    assert set(found) == SEARCHED
    assert found['tuned'] == {
        f'{rate:g}': guard | {'things': 10, 'motions': round(1e4 * rate)} for rate in RATES}
    table = write_search(tmp_path, {3: found})
    assert ('| text encoder fully tuned | 10.0 / 3.0; 0.50, 6 | 10.0 / 10.0; 0.50, 6 | '
            '**10.0 / 30.0**; 0.50, 6 |') in table
    assert json.loads((tmp_path / 'search.json').read_text('utf-8'))['3'] == found


def test_the_text_encoder_is_tuned_as_far_as_the_setting_says(run):
    counts = [tuned_text(run._pretraining(SETTINGS[name]).model.to_dict())
              for name in ('tuned', 'frozen-1', 'tvtsv2', 'frozen')]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == len(counts)
    assert counts[-1] == 0


def test_masks(run):
    for name in PARTS['masking'].settings:
        ratios = {transform.ratio for dataset in run._pretraining(
            SETTINGS[name]).train_dataloader.dataset.datasets
            for transform in dataset.dataset.pipeline if transform.type == 'RandomTubeMask'}
        assert ratios == {SETTINGS[name].mask}


def test_every_measure_of_a_table_is_measured(tmp_path):
    known = {key for figures in made_figures('order').values() for key in figures}
    for part in PARTS.values():
        for row in part.rows:
            assert set(row.measures) <= known, row.title
    assert len({row.title for row in PARTS['freeze'].rows}) == len(PARTS['freeze'].rows)


def made_figures(part: str, value: float = 50.0) -> dict[str, dict[str, float]]:
    measures = {measure for one in PARTS.values() for row in one.rows for measure in row.measures}
    return {model: dict.fromkeys(
        [m for m in measures if model != 'clip' or not m.startswith(('cost/', 'guard/'))], value)
        for model in ('clip', *PARTS[part].settings)}


def test_the_table_has_mean_and_spread_and_says_what_is_not_there(tmp_path):
    runs = {seed: made_figures('sorting', value) for seed, value in ((0, 40.0), (1, 60.0))}
    table = write_report(tmp_path, 'sorting', runs)
    assert '| transcript sorting, each of 4 | 25.0 | 50.0 ± 14.1 | 50.0 ± 14.1 |' in table
    cost, = (line for line in table.splitlines() if 'GFLOP' in line)
    assert '| - | - | 50.000 ± 14.142 |' in cost
    kept = json.loads((tmp_path / 'sorting.json').read_text('utf-8'))['1']
    assert kept['contrast']['sorting/per_transcript'] == 60.0
    assert 'guard/drift' not in kept['contrast']  # which the table does not show
    assert (tmp_path / 'sorting.png').read_bytes().startswith(b'\x89PNG')
    assert '±' not in part_table('sorting', [runs[0]])


def test_recognise_reads_the_best_wording(run, tmp_path, monkeypatch):
    """Right classes give other figures than their order turned round; videos are read once."""
    import torch
    from mmengine.structures import BaseDataElement
    read = []

    class Model:

        def encode_video(self, inputs, class_only):
            read.append(len(inputs['video']))
            return inputs['video'], None

        def encode_text(self, tokens):
            # By the first word behind the start token, 'left' or 'right'.
            return torch.nn.functional.one_hot((tokens[..., 1] == tokens[0, 1]).long(), 2).float()

    samples = [BaseDataElement(gt_label=torch.tensor([label])) for label in (0, 1, 1)]
    video = torch.tensor([[0., 1.], [1., 0.], [1., 0.]])
    monkeypatch.setattr(protocols, '_batches',
                        lambda *_: iter([(Model(), {'video': video}, ({}, samples))]))
    cfg = run._config('zero-shot')
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        found = protocols.recognise(cfg, tmp_path, 'x', {
            'right': (['left', 'right'], ['{} ball']), 'wrong': (['one', 'one two'], ['{} ball'])})
    assert found == {'metrics': {'right': 100.0, 'wrong': pytest.approx(33.3333)}}
    assert read == [3]
    monkeypatch.setattr(protocols, '_batches',
                        lambda *_: iter([(Model(), {'video': video}, ({}, samples))]))
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        found = protocols.recognise(cfg, tmp_path, 'x', {
            'wrong': (['one', 'one two'], ['{} ball'])}, unseen=[1])
    assert found['metrics'] == {'wrong': pytest.approx(33.3333), 'wrong/unseen': 0.0}


def test_the_guard_is_on_and_reads_no_sentence_of_the_videos(run):
    hook = run._pretraining(SETTINGS['tuned']).default_hooks.out_of_the_box
    assert hook.dataloader.dataset.ann_file.endswith('shapes/annotations/things_test.txt')
    assert hook.context_length == hook.cls_head.context_length == 32
    assert len(hook.cls_head.classes) == 18 and len(set(hook.texts)) == len(hook.texts) == 18
    assert not any('circle' in text or 'red' in text.split() for text in hook.texts)


@pytest.mark.slow
def test_a_part_is_run_to_its_table_and_not_twice(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PARTS, 'masking', replace(PARTS['masking'], settings=('mask-0', 'tvtsv2')))
    found = run_part('masking', tmp_path, seed=0, scale=SMOKE, config_dir=CONFIGS)
    assert set(found) == {'clip', 'mask-0', 'tvtsv2'}
    assert found['tvtsv2']['guard/drift'] > 0
    assert {key for key in found['tvtsv2'] if key.startswith('guard')} == {
        'guard/drift', 'guard/fall', 'guard/warned/drift', 'guard/warned/fall'}
    flop = [found[name]['cost/gflop'] for name in PARTS['masking'].settings]
    assert flop == sorted(flop, reverse=True) and min(flop) > 0
    assert min(one['cost/seconds'] for name, one in found.items() if name != 'clip') > 0
    capsys.readouterr()
    assert run_part('masking', tmp_path, seed=0, scale=SMOKE, config_dir=CONFIGS) == found
    said = capsys.readouterr().out
    assert said.count('finished before') == 23 and '[23/23]' in said
