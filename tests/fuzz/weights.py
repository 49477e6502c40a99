"""Targets: checkpoints of each kind, and what lies beside weights."""

import io
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file

from tests.fuzz.cases import Seed, Target
from tests.hugging_face_models import make_folder
from tests.tiny_model import build_tiny_model, save_tiny_checkpoint
from tests.tiny_tokenizers import write_gemma, write_xlm_v
from tvtsv2_mm.checkpoints import CheckpointError, RefusedCheckpointError, config_of_checkpoint
from tvtsv2_mm.checkpoints.convert_checkpoint import inspect_checkpoint, write_weights
from tvtsv2_mm.checkpoints.files import load_from_disk, read_weights, tokenizer_of
from tvtsv2_mm.checkpoints.foreign_configs import read_description
from tvtsv2_mm.checkpoints.hugging_face import can_be_built, read_config, read_pixels
from tvtsv2_mm.checkpoints.sharded import save_sharded
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer

_ERRORS = (CheckpointError, RefusedCheckpointError, FileNotFoundError)
_WEIGHTS = {
    'backbone.conv1.weight': torch.ones(4, 3, 2, 2), 'backbone.class_embedding': torch.ones(4),
    'backbone.temporal_embedding': torch.ones(1, 2, 4), 'backbone.ln_pre.weight': torch.arange(4.0),
    'neck.clip.text_projection.weight': torch.ones(4, 4, dtype=torch.bfloat16),
    'n': torch.tensor(3)}


class Calls:
    """Pickles as a call: an attack, which is what mutations make others of."""

    def __init__(self, function: Callable, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple:
        return self.call


def _state() -> dict[str, Any]:
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    return dict(
        state_dict=dict(_WEIGHTS), meta=dict(epoch=1, iter=2, cfg='model = dict(type="X")\n'),
        message_hub=dict(log_scalars={'train/loss': buffer}, runtime_info={'iter': 2},
                         resumed_keys={'iter': True}),
        optimizer=dict(state={0: dict(step=torch.tensor(1.0), exp_avg=torch.ones(4))},
                       param_groups=[dict(lr=1e-3, params=[0])]), param_schedulers=[])


def _torch_seeds(folder: Path, zipped: bool) -> list[Seed]:
    seeds = []
    attack = {'state_dict': dict(_WEIGHTS), 'x': Calls(print, 'this must never be run')}
    for content in (_state(), _state(), dict(_WEIGHTS), attack):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=zipped)
        seeds.append(Seed({'w.pth': file.getvalue()}, refused=content is attack))
    if zipped:
        save_tiny_checkpoint(folder / 'tiny.pth')
        seeds.append(Seed({'w.pth': (folder / 'tiny.pth').read_bytes()}))
    return seeds


class _Scaled(torch.nn.Module):

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def _script_seeds(folder: Path) -> list[Seed]:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(_Scaled(), torch.ones(4)), file)
    return [Seed({'w.pt': file.getvalue()})]


def _safetensors_seeds(folder: Path) -> list[Seed]:
    save_file(_WEIGHTS, folder / 'w.safetensors', metadata=dict(format='pt'))
    write_weights(dict(build_tiny_model().state_dict()), folder / 'tiny.safetensors',
                  dict(backbone=dict(heads=2), neck=dict(tokenizer='clip')))
    return [Seed({'w.safetensors': (folder / name).read_bytes()})
            for name in ('w.safetensors', 'tiny.safetensors')]


def _index_seeds(folder: Path) -> list[Seed]:
    names = [*_WEIGHTS]
    parts = {'model-1.safetensors': names[:3], 'model-2.safetensors': names[3:]}
    for part, own in parts.items():
        save_file({name: _WEIGHTS[name] for name in own}, folder / part)
    index = dict(metadata=dict(total_size=100),
                 weight_map={name: part for part, own in parts.items() for name in own})
    files = {part: (folder / part).read_bytes() for part in parts}
    content = json.dumps(index).encode()
    return [Seed({'model.safetensors.index.json': content, **files}),
            Seed({'model.safetensors.index.json': content}, files)]


def _sharded_seeds(folder: Path) -> list[Seed]:
    save_sharded(folder / 'w', dict(state_dict=dict(_WEIGHTS), optimizer=dict(
        a=dict(exp_avg=torch.zeros(3)))), dict(meta=dict(epoch=1)))
    files = {path.name: path.read_bytes() for path in (folder / 'w').iterdir()}
    table = {'.metadata': files.pop('.metadata')}
    return [Seed(table, files), Seed({**table, **files})]


def _folder_seeds(folder: Path) -> list[Seed]:
    """Models of transformers, whose configs are changed."""
    seeds = []
    for kind in ('clip', 'siglip', 'xclip'):
        make_folder(folder / kind, kind)
        files = {path.name: path.read_bytes() for path in (folder / kind).iterdir()}
        beside = {'model.safetensors': files.pop('model.safetensors')}
        seeds.append(Seed(files, beside))
        seeds.append(Seed({'config.json': files['config.json']}, {**files, **beside}))
    return seeds


def _tokenizer_seeds(folder: Path) -> list[Seed]:
    seeds = []
    for write in (write_gemma, write_xlm_v):
        place = write(folder / write.__name__)
        seeds.append(Seed({path.name: path.read_bytes() for path in place.iterdir()}))
    return seeds


def _read(work: Path, name: str = '') -> None:
    """All ways in which a checkpoint is read; the first says whether it can be."""
    logging.disable()
    path = work / name
    content = load_from_disk(path)
    for read in (read_weights, tokenizer_of, inspect_checkpoint,
                 partial(config_of_checkpoint, content)):
        try:
            read(str(path))
        except _ERRORS as error:
            assert 'Traceback' not in str(error), str(error)
        except ValueError as error:
            if type(error) is not ValueError:
                raise


def _read_folder(work: Path) -> None:
    logging.disable()
    config, _ = read_config(work)
    can_be_built(config)
    read_pixels(work, config)
    with suppress(CheckpointError):  # of our own towers are the fewest
        read_description(work / 'model.safetensors', with_folder=True)


def _read_tokenizer(work: Path) -> None:
    tokenizer = build_tokenizer(str(work), 16)
    ids = tokenizer(['a dog runs over the hill', '<eos> </s> 三只'])
    assert len(ids) == 2


TARGETS = [
    Target('checkpoint_pth', partial(_torch_seeds, zipped=True), partial(_read, name='w.pth'),
           _ERRORS),
    Target('checkpoint_pickle', partial(_torch_seeds, zipped=False), partial(_read, name='w.pth'),
           _ERRORS),
    Target('checkpoint_script', _script_seeds, partial(_read, name='w.pt'), _ERRORS),
    Target('checkpoint_safetensors', _safetensors_seeds, partial(_read, name='w.safetensors'),
           _ERRORS),
    Target('checkpoint_index', _index_seeds, partial(_read, name='model.safetensors.index.json'),
           _ERRORS),
    # A folder is named, whose files are read as one.
    Target('checkpoint_sharded', _sharded_seeds, _read, _ERRORS, names=False),
    Target('model_folder', _folder_seeds, _read_folder, (*_ERRORS, UserFileError)),
    Target('tokenizer', _tokenizer_seeds, _read_tokenizer, (UserFileError, FileNotFoundError)),
]
