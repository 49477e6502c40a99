"""Every kind of checkpoint file, written by its own library, through mmengine's loader."""

import json
import warnings

import pytest
import torch
from mmengine.runner import Runner, load_checkpoint, save_checkpoint
from safetensors.torch import save_file

from tests.clip_models import embed, make_hugging_face, make_model, make_open_clip, randomize
from tvtsv2_mm.checkpoints import CheckpointError, read_state_dict
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import RELEASE


def openai_archive(foreign, path, script):
    """As OpenAI publishes: half precision, sizes as tensors beside the weights."""
    for name, size in (('input_resolution', 32), ('context_length', 12), ('vocab_size', 80)):
        if hasattr(foreign, name):
            delattr(foreign, name)
        foreign.register_buffer(name, torch.tensor(size))
    for parameter in foreign.parameters():  # of values that half precision holds exactly
        parameter.data = parameter.data.half().float()
    traced = script(foreign.eval())
    torch.jit.save(traced.half(), path)


def trace(foreign):
    inputs = dict(encode_image=torch.randn(2, 3, 32, 32),
                  encode_text=torch.randint(1, 70, (2, 12)))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        return torch.jit.trace_module(foreign, inputs)


def write_hugging_face(foreign, folder):
    foreign.save_pretrained(folder)
    return folder


def write_shards(foreign, folder):
    foreign.save_pretrained(folder, max_shard_size='200KB')
    assert (folder / 'model.safetensors.index.json').is_file()
    return folder


def write_open_clip_bin(foreign, folder):
    torch.save(foreign.state_dict(), folder / 'open_clip_pytorch_model.bin')
    return folder / 'open_clip_pytorch_model.bin'


def write_open_clip_folder(foreign, folder):
    save_file(foreign.state_dict(), folder / 'open_clip_model.safetensors')
    return folder


def write_training_checkpoint(foreign, folder):
    weights = {f'module.{key}': value for key, value in foreign.state_dict().items()}
    torch.save(dict(epoch=3, name='run', state_dict=weights), folder / 'epoch_3.pt')
    return folder / 'epoch_3.pt'


def write_legacy_pickle(foreign, folder):
    torch.save(foreign.state_dict(), folder / 'old.pt', _use_new_zipfile_serialization=False)
    return folder / 'old.pt'


def write_traced(foreign, folder):
    openai_archive(foreign, folder / 'ViT-B-16.pt', trace)
    return folder / 'ViT-B-16.pt'


def write_scripted(foreign, folder):
    openai_archive(foreign, folder / 'ViT-B-16.pt', torch.jit.script)
    return folder / 'ViT-B-16.pt'


CASES = {
    'hugging face folder': (make_hugging_face, write_hugging_face),
    'hugging face shards': (make_hugging_face, write_shards),
    'open_clip bin': (make_open_clip, write_open_clip_bin),
    'open_clip folder': (make_open_clip, write_open_clip_folder),
    'open_clip training': (make_open_clip, write_training_checkpoint),
    'old torch file': (make_open_clip, write_legacy_pickle),
    'traced archive': (make_open_clip, write_traced),
    'scripted archive': (make_open_clip, write_scripted),
}


@pytest.fixture(params=CASES)
def written(request, tmp_path):
    """A foreign model with random weights, and where its library wrote it."""
    torch.manual_seed(0)
    make, write = CASES[request.param]
    foreign = make('quick_gelu')
    randomize(foreign)
    return foreign, write(foreign, tmp_path)


def test_load_from_and_init_cfg_give_the_foreign_embeddings(written, monkeypatch):
    foreign, path = written
    expected = embed(foreign.float())
    monkeypatch.delattr(torch.jit, 'load')  # it would run what an archive says
    model = make_model()
    load_checkpoint(model, str(path))
    torch.testing.assert_close(embed(model), expected, atol=1e-5, rtol=0)
    model = make_model()
    model.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model.init_weights()
    torch.testing.assert_close(embed(model), expected, atol=1e-5, rtol=0)


def test_the_runner_loads_a_folder_with_averaged_weights(tmp_path):
    """mmengine's EMA hook looks for `state_dict`, which these files do not have."""
    torch.manual_seed(0)
    foreign = make_hugging_face('quick_gelu')
    randomize(foreign)
    foreign.save_pretrained(tmp_path / 'clip')
    runner = Runner(
        model=make_model(), work_dir=str(tmp_path / 'work'), load_from=str(tmp_path / 'clip'),
        custom_hooks=[dict(type='EMAHook')], default_scope='tvtsv2_mm',
        experiment_name='folder', log_level='WARNING')
    runner.call_hook('before_run')
    runner.load_or_resume()
    averaged = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook').ema_model
    expected = embed(foreign)
    torch.testing.assert_close(embed(runner.model), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(embed(averaged.module), expected, atol=1e-5, rtol=0)


def test_release_and_own_checkpoints(tmp_path):
    model = make_model()
    randomize(model)
    released, _ = convert_names(model.state_dict(), RELEASE, to_foreign=True)
    released = {f'module.{key}': value for key, value in released.items()}
    torch.save(dict(state_dict=released), tmp_path / 'TVTSv2.pth')
    save_checkpoint(
        dict(state_dict=model.state_dict(), meta=dict(epoch=1)), str(tmp_path / 'own.pth'))
    for name in ('TVTSv2.pth', 'own.pth'):
        other = make_model()
        load_checkpoint(other, str(tmp_path / name))
        torch.testing.assert_close(dict(other.state_dict()), dict(model.state_dict()))


def test_a_folder_without_weights(tmp_path):
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(FileNotFoundError, match=r'it has none of model\.safetensors, '):
        read_state_dict(tmp_path)


@pytest.mark.parametrize(('index', 'message'), [
    ('{', 'is no index of shards'),
    ('{"weight_map": {"a": ".."}}', 'names a file outside its folder: ..'),
    (json.dumps(dict(weight_map=dict(a='../x.safetensors'))), 'outside its folder'),
    (json.dumps(dict(weight_map=dict(a='x.safetensors', b='x.safetensors'))),
     'does not hold what model.safetensors.index.json says of it: b'),
])
def test_a_damaged_index(tmp_path, index, message):
    save_file(dict(a=torch.ones(1)), tmp_path / 'x.safetensors')
    (tmp_path / 'model.safetensors.index.json').write_text(index)
    with pytest.raises(CheckpointError, match=message):
        read_state_dict(tmp_path)


@pytest.mark.parametrize('shard', ['gone.safetensors', 'x' * 300])
def test_a_shard_that_an_index_names_and_is_not_there(tmp_path, shard):
    index = tmp_path / 'model.safetensors.index.json'
    index.write_text(json.dumps(dict(weight_map=dict(a=shard))))
    with pytest.raises(FileNotFoundError, match=rf'{shard}, which model\.safetensors\.index\.json'):
        read_state_dict(tmp_path)
