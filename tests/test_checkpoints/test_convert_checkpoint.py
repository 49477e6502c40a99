import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint
from safetensors.torch import load_file, save_file

from tests.clip_models import embed, make_hugging_face, make_model, make_open_clip, randomize
from tvtsv2_mm.checkpoints import (
    CheckpointError,
    RefusedCheckpointError,
    given_description,
    read_state_dict,
)
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.checkpoints.layouts import RELEASE
from tvtsv2_mm.registry import MODELS

SIZES = dict(width=64, layers=2, heads=1, embed_dim=24)
BACKBONE = dict(type='SpaceTimeViT', image_size=32, patch_size=8, num_frames=4, **SIZES)
NECK = dict(type='PartiallyFrozenTextEncoder', frozen_layers=1, vocab_size=80, context_length=12,
            **SIZES)


@pytest.fixture
def own(tmp_path):
    """One of our models and its checkpoint."""
    torch.manual_seed(0)
    model = make_model()
    randomize(model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'own.pth')
    return model, tmp_path / 'own.pth'


def test_an_error_names_the_file_wherever_it_is_found(own, tmp_path):
    model, path = own
    weights = model.state_dict()
    del weights['backbone.proj']
    torch.save(weights, path)
    for use in (lambda: inspect_checkpoint(path), lambda: load_checkpoint(model, str(path)),
                lambda: convert_checkpoint(path, tmp_path / 'x.pth')):
        with pytest.raises(CheckpointError, match=r'own\.pth: '):
            use()


@pytest.mark.parametrize('target', ['own.pth', 'own.safetensors'])
@pytest.mark.parametrize('make_foreign', [make_hugging_face, make_open_clip])
def test_a_clip_becomes_ours(tmp_path, make_foreign, target):
    torch.manual_seed(0)
    foreign = make_foreign('gelu')
    randomize(foreign)
    save_file(foreign.state_dict(), tmp_path / 'model.safetensors')
    names = convert_checkpoint(tmp_path / 'model.safetensors', tmp_path / target)
    assert set(names) == set(read_state_dict(tmp_path / target))
    assert not any('temporal' in name or 'sorting' in name for name in names)
    model = make_model('gelu')
    load_checkpoint(model, str(tmp_path / target))
    torch.testing.assert_close(embed(model), embed(foreign), atol=1e-5, rtol=0)


def test_the_derived_config_builds_the_same_model(own):
    model, path = own
    found = inspect_checkpoint(path, given=given_description({'sorting_head.heads': 4}))
    assert not found.unused
    built = MODELS.build(found.config)
    load_checkpoint(built, str(path))
    torch.testing.assert_close(embed(built), embed(model))


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_to_the_release_and_back(own, tmp_path, suffix):
    model, path = own
    released, back = tmp_path / f'release.{suffix}', tmp_path / 'back.safetensors'
    names = convert_checkpoint(path, released, to='release')
    assert 'module.video_model.class_embedding' in names
    assert 'module.pred_model.head.weight' in names
    convert_checkpoint(released, back)
    torch.testing.assert_close(load_file(back), dict(model.state_dict()), atol=0, rtol=0)


def test_a_file_holds_no_more_than_its_tensors(own, tmp_path):
    """Parts of a fused tensor share its memory, and would be written whole with each part."""
    _, path = own
    convert_checkpoint(path, tmp_path / 'release.pth', to='release')
    convert_checkpoint(tmp_path / 'release.pth', tmp_path / 'back.pth')
    size = sum(tensor.nbytes for tensor in read_state_dict(tmp_path / 'back.pth').values())
    assert (tmp_path / 'back.pth').stat().st_size < size + 100_000


def test_what_the_release_cannot_hold(own, tmp_path):
    probe = make_model(type='FramewiseViT')
    torch.save(probe.state_dict(), tmp_path / 'framewise.pth')
    with pytest.raises(CheckpointError, match='lack: time attention'):
        convert_checkpoint(tmp_path / 'framewise.pth', tmp_path / 'x.pth', to='release')
    weights = dict(own[0].state_dict())
    weights |= {'cls_head.fc.weight': torch.ones(7, 24), 'cls_head.fc.bias': torch.ones(7)}
    torch.save(weights, tmp_path / 'probe.pth')
    with pytest.raises(CheckpointError, match=r'no place for:\n  cls_head\.fc\.weight'):
        convert_checkpoint(tmp_path / 'probe.pth', tmp_path / 'x.pth', to='release')
    assert not (tmp_path / 'x.pth').exists()


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda w: w.update(extra=torch.ones(1)), r'not used by the model:\n  extra'),
    (lambda w: w.pop('backbone.ln_post.bias'),
     r'missing in the checkpoint:\n  backbone\.ln_post\.bias'),
    (lambda w: w.pop('backbone.resblocks.0.mlp.c_fc.bias'),
     r'missing in the checkpoint:\n  backbone\.resblocks\.0\.mlp\.c_fc\.bias'),
    (lambda w: w.update({'backbone.resblocks.0.mlp.c_fc.bias': torch.ones(128)}),
     r'c_fc\.bias: \(128,\) in the checkpoint, \(256,\) by the config'),
])
def test_nothing_is_lost_in_silence(own, tmp_path, spoil, message):
    weights = dict(own[0].state_dict())
    spoil(weights)
    torch.save(weights, tmp_path / 'spoilt.pth')
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(tmp_path / 'spoilt.pth', tmp_path / 'x.pth')
    assert [path.name for path in tmp_path.iterdir() if 'x.pth' in path.name] == []


def test_positions_for_another_config(own, tmp_path):
    model = dict(type='VideoTextModel', backbone=BACKBONE | dict(image_size=48, num_frames=6),
                 neck=NECK, data_preprocessor=dict(type='VideoTextDataPreprocessor'))
    with pytest.raises(CheckpointError, match=r'\(17, 64\) in the checkpoint, \(37, 64\)'):
        convert_checkpoint(own[1], tmp_path / 'x.pth', model=model)
    convert_checkpoint(own[1], tmp_path / 'x.pth', model=model, interpolate_positions=True)
    written = read_state_dict(tmp_path / 'x.pth')
    assert written['backbone.positional_embedding'].shape == (37, 64)
    assert written['backbone.temporal_embedding'].shape == (6, 64)
    assert not any(name.startswith('sorting_head') for name in written)  # the config has none


def test_files_are_as_readable_as_others(own, tmp_path):
    convert_checkpoint(own[1], tmp_path / 'x.safetensors')
    assert (tmp_path / 'x.safetensors').stat().st_mode == own[1].stat().st_mode


def test_dtype(own, tmp_path):
    convert_checkpoint(own[1], tmp_path / 'x.safetensors', dtype='bfloat16')
    assert {tensor.dtype for tensor in load_file(tmp_path / 'x.safetensors').values()} == {
        torch.bfloat16}


@pytest.mark.parametrize(('target', 'options', 'error', 'message'), [
    ('x.bin', {}, ValueError, r'must end in \.pth or \.safetensors'),
    ('x.pth', dict(to='clip'), ValueError, 'to must be one of own, release'),
    ('x.pth', dict(dtype='int8'), ValueError, 'dtype must be one of'),
    ('own.pth', dict(overwrite=True), ValueError, 'the same file'),
    ('there.pth', {}, FileExistsError, '--overwrite'),
])
def test_options(own, tmp_path, target, options, error, message):
    (tmp_path / 'there.pth').write_text('before')
    with pytest.raises(error, match=message):
        convert_checkpoint(own[1], tmp_path / target, **options)
    assert (tmp_path / 'there.pth').read_text() == 'before'
    convert_checkpoint(own[1], tmp_path / 'there.pth', overwrite=True)
    assert len(read_state_dict(tmp_path / 'there.pth')) == len(own[0].state_dict())


def test_stand_ins_are_passed_on(own, tmp_path):
    torch.save(dict(state_dict=own[0].state_dict(), when=slice(3)), tmp_path / 'odd.pth')
    with pytest.raises(RefusedCheckpointError):
        convert_checkpoint(tmp_path / 'odd.pth', tmp_path / 'x.pth')
    name = f'{slice.__module__}.slice'
    convert_checkpoint(tmp_path / 'odd.pth', tmp_path / 'x.pth', stand_ins=[name])
    assert (tmp_path / 'x.pth').is_file()


PEAK = """
import re
import sys

from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint


def peak():
    return 1024 * int(re.search('VmHWM: *\\t *([0-9]+) kB', open('/proc/self/status').read())[1])


convert_checkpoint(sys.argv[1], sys.argv[2])  # imports what else it takes
before = peak()
convert_checkpoint(sys.argv[3], sys.argv[4])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_a_conversion_takes_less_memory_than_two_copies(tmp_path):
    """For the release's H/14 (4.8 GB) less than 9.6 GB, and the libraries; see CONTRIBUTING.md."""
    files = []
    for name, sizes in {'small': {}, 'large': dict(width=1024, layers=3, heads=16)}.items():
        with torch.device('meta'):
            model = make_model(**sizes)
        weights = {key: torch.zeros(value.shape) for key, value in model.state_dict().items()}
        released = convert_names(weights, RELEASE, to_foreign=True)[0]
        source = tmp_path / f'{name}.pth'
        torch.save(dict(state_dict={f'module.{key}': value for key, value in released.items()}),
                   source)
        files += [source, tmp_path / f'{name}.safetensors']
    done = subprocess.run([sys.executable, '-c', PEAK, *files],
                          cwd=Path(__file__).parents[2], text=True, capture_output=True, check=True)
    size = source.stat().st_size
    assert size > 150e6
    assert 0.5 * size < int(done.stdout.splitlines()[-1]) < 2 * size
