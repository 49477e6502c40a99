"""Weights as training scripts leave them."""

import pytest
import torch
import torch.distributed.checkpoint as dcp
from mmengine.runner import load_checkpoint

from tests.clip_models import embed, make_model, make_open_clip, randomize
from tvtsv2_mm.checkpoints import CheckpointError, read_state_dict, read_weights
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint

torch.manual_seed(0)
FOREIGN = make_open_clip('quick_gelu')
randomize(FOREIGN)
WEIGHTS = {key: value.clone() for key, value in FOREIGN.state_dict().items()
           if not key.endswith('attn_mask')}
ZERO = {key: torch.zeros_like(value) for key, value in WEIGHTS.items()}


def before(prefix, weights=WEIGHTS):
    return {prefix + key: value for key, value in weights.items()}


KINDS = {
    'torch.compile in DDP': (before('module._orig_mod.'), '', {'module', '_orig_mod'}),
    'Lightning': (dict(state_dict=before('model.'), hyper_parameters=dict(lr=1.0)), 'state_dict',
                  {'model.'}),
    'DeepSpeed': (dict(module=before('module.'), ds_config={}, optimizer=None), 'module',
                  {'module'}),
    'compiled blocks': ({key.replace('resblocks.', 'resblocks._orig_mod.'): value
                         for key, value in WEIGHTS.items()}, '', {'_orig_mod'}),
    'deep': (dict(app=dict(net=WEIGHTS), step=3), 'app.net', set()),
    'AveragedModel': (dict(before('module.'), n_averaged=torch.tensor(3)), '', {'module'}),
    'Parameters': ({key: torch.nn.Parameter(value) for key, value in WEIGHTS.items()}, '', set()),
}


@pytest.mark.parametrize('kind', KINDS)
def test_one_report_whatever_reads(tmp_path, kind):
    content, entry, taken_off = KINDS[kind]
    path = tmp_path / 'x.pth'
    torch.save(content, path)
    found = inspect_checkpoint(path).report
    assert found['entry'] == entry and {*found['taken_off']} == taken_off
    converted: dict = {}
    convert_checkpoint(path, tmp_path / 'own.pth', report=converted)
    model = make_model()
    load_checkpoint(model, str(path))
    assert converted['file'] == model.load_report['file'] == found
    torch.testing.assert_close(embed(model), embed(FOREIGN), atol=1e-5, rtol=0)


@pytest.mark.parametrize(('plain', 'averaged'), [
    ('state_dict', 'state_dict_ema'), ('model', 'model_ema')])
def test_averaged_weights_are_said_and_chosen(tmp_path, plain, averaged):
    path = tmp_path / 'x.pth'
    torch.save({plain: ZERO, averaged: WEIGHTS}, path)
    taken, report = read_weights(path)
    assert not any(value.any() for value in taken.values())
    assert any(averaged in line and '--weights ema' in line for line in report['notes'])
    for choice in ('ema', averaged):
        torch.testing.assert_close(read_state_dict(path, weights=choice), WEIGHTS)
    with pytest.raises(CheckpointError, match=rf"no weights 'best', but {plain}, {averaged}"):
        read_state_dict(path, weights='best')


def test_the_averaged_weights_of_mmengine_are_under_state_dict(tmp_path):
    torch.save(dict(state_dict=WEIGHTS, ema_state_dict=before('module.', ZERO), message_hub={}),
               tmp_path / 'x.pth')
    for choice in (None, 'ema'):
        torch.testing.assert_close(read_state_dict(tmp_path / 'x.pth', weights=choice), WEIGHTS)
    assert not read_state_dict(tmp_path / 'x.pth', weights='ema_state_dict')['visual.proj'].any()


def test_several_models_are_not_guessed_among(tmp_path):
    torch.save(before('student.') | before('teacher.', ZERO), tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'several models: student, teacher'):
        read_state_dict(tmp_path / 'x.pth')
    taken, report = read_weights(tmp_path / 'x.pth', weights='student')
    torch.testing.assert_close(taken, WEIGHTS)
    assert report['dropped'] == {
        'teacher.*': f'{len(WEIGHTS)} tensors of another model or of an optimiser'}


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_values_that_are_not_finite(tmp_path, value):
    broken = WEIGHTS['visual.ln_post.bias'].clone().index_fill_(0, torch.tensor([3]), value)
    torch.save(dict(WEIGHTS, **{'visual.ln_post.bias': broken}), tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'1 of its .* not finite .*: visual\.ln_post\.bias'):
        inspect_checkpoint(tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'x\.pth.* not finite'):
        load_checkpoint(make_model(), str(tmp_path / 'x.pth'))


def test_zero_weights_and_a_sigmoid_loss_are_said(tmp_path):
    changed = {'visual.conv1.weight': torch.zeros(64, 3, 8, 8), 'logit_bias': torch.tensor(-10.0)}
    torch.save(WEIGHTS | changed, tmp_path / 'x.pth')
    report = inspect_checkpoint(tmp_path / 'x.pth').report
    assert report['zero'] == ['visual.conv1.weight']
    assert 'sigmoid loss' in report['notes'][0] and 'conv1.weight' in report['notes'][1]
    convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'own.pth')


def test_other_tensors_are_not_lost(tmp_path):
    torch.save(before('model.') | {'head.weight': torch.ones(3)}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'not used by the model:\n  head\.weight'):
        convert_checkpoint(tmp_path / 'x.pth', tmp_path / 'own.pth')


def test_unknown_weights_are_shown(tmp_path):
    torch.save(dict(net=dict(stem=torch.ones(2)), epoch=3), tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'It has net \(1 entries: stem\), epoch'):
        inspect_checkpoint(tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'It has: net \(1 entries: stem\), epoch'):
        load_checkpoint(make_model(), str(tmp_path / 'x.pth'))


@pytest.mark.parametrize('content', [
    WEIGHTS, dict(model=WEIGHTS, optimizer=dict(state={'a': torch.ones(2)}, lr=[0.1]), step=3)])
def test_a_folder_that_torch_wrote(tmp_path, content):
    dcp.save(content, checkpoint_id=tmp_path / 'x', no_dist=True)
    torch.testing.assert_close(read_state_dict(tmp_path / 'x'), WEIGHTS)
    model = make_model()
    load_checkpoint(model, str(tmp_path / 'x'))
    torch.testing.assert_close(embed(model), embed(FOREIGN), atol=1e-5, rtol=0)
