"""Convert a checkpoint of any known layout into ours or into the release's, as a file."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from safetensors.torch import save_file
from torch import Tensor

from tvtsv2_mm.choices import DTYPES, TARGET_LAYOUTS
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.config_errors import config_errors
from tvtsv2_mm.utils.files import make_folder, write_atomically
from tvtsv2_mm.utils.tokenizer import split_name
from tvtsv2_mm.utils.tokenizer_files import FOLDER, copy_tokenizer, find_tokenizer, name_of

from .convert import convert_names, detect_layout, to_own_layout
from .description import (
    RECORD,
    Description,
    check_model,
    check_refused,
    describe,
    description_of,
    metadata_of,
    with_metadata,
)
from .entries import some
from .errors import CheckpointError, naming
from .files import read_weights
from .layouts import RELEASE
from .lora import merge_lora, without_lora
from .sizes import model_config
from .whole import save_whole

SUFFIXES = ('.pth', '.safetensors')


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is known of a checkpoint."""

    layout: str  # its name
    weights: Mapping[str, Tensor]  # by our names, on disk until they are used
    unused: list[str]  # its keys that have no place in the config
    config: dict  # of a model that fits the tensors
    assumed: list[str]  # lines on what in the config is not from the tensors
    report: dict  # where in the file the weights were; see files.read_weights


def inspect_checkpoint(source: str | Path, *, given: Description | None = None,
                       weights: str | None = None,
                       stand_ins: Iterable[str] = ()) -> Checkpoint:
    """Read a checkpoint and derive the model config that fits it.

    Args:
        source: a file or folder, as in :func:`.files.read_weights`; so are ``weights`` and
            ``stand_ins``.
        given: what the tensors do not tell, and a config beside the source does not either.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it cannot be read, its layout is unknown, or sizes cannot be told.
    """
    tensors, report = read_weights(source, weights=weights, stand_ins=stand_ins)
    with naming(source):
        check_refused(metadata_of(tensors))
        layout = detect_layout(tensors)
        own, unused = convert_names(merge_lora(tensors), layout)
        told = description_of(tensors, layout=layout.name) | (given or Description())
        config, assumed = model_config(own, told)
    if 'cls_head' not in config:
        unused += _head(own)
    return Checkpoint(layout=layout.name, weights=own, unused=unused, config=config,
                      assumed=[*assumed, *told.notes], report=report or {})


def convert_checkpoint(source: str | Path,
                       target: str | Path,
                       *,
                       model: Mapping[str, Any] | None = None,
                       given: Description | None = None,
                       to: str = 'own',
                       interpolate_positions: bool = False,
                       dtype: str | None = None,
                       overwrite: bool = False,
                       weights: str | None = None,
                       stand_ins: Iterable[str] = (),
                       report: dict | None = None) -> list[str]:
    """Convert a checkpoint; every missing or unused key and every other size is an error.

    Adapters (LoRA) are merged into the weights, by which the outputs stay the same. What the
    source's layout does not have (time, in a CLIP) is not written: it starts at its
    initial values when the file is loaded. The head of a recognizer of MMAction2 keeps its names.

    Args:
        source: a file or folder, as in :func:`.files.read_weights`; so are ``weights`` and
            ``stand_ins``.
        target: the file to write, ``.pth`` or ``.safetensors``. The files of another tokenizer
            than CLIP's go with it, into ``tokenizers`` beside it.
        model: model config that the weights must fit; default: the one that their sizes give. Parts
            that it does not have are left out.
        given: what the source does not tell of the model. The target tells it on, with what the
            source tells; of what nobody does, the log has a line.
        to: 'own' or 'release'.
        interpolate_positions: resize the position tables to the model config's.
        dtype: 'float32', 'float16' or 'bfloat16'; default: as it is.
        overwrite: replace a target that exists.
        report: is filled with what was done; see :func:`.convert.to_own_layout`.

    Returns:
        The names written.

    Raises:
        FileNotFoundError: there is no such source.
        FileExistsError: the target exists and is not to be overwritten.
        CheckpointError: the source cannot be read or does not fit, or the target's layout cannot
            hold it.
        ValueError: an option has an unknown value.
    """
    target = Path(target).expanduser()
    _check_options(Path(source).expanduser(), target, to, dtype, overwrite)
    tensors, file = read_weights(source, weights=weights, stand_ins=stand_ins)
    report = {} if report is None else report
    report['file'] = file
    with naming(source):
        check_refused(metadata_of(tensors))
        layout = detect_layout(tensors)
        told = description_of(tensors, layout=layout.name) | (given or Description())
        config = without_lora(model) if model is not None else model_config(
            convert_names(merge_lora(tensors), layout)[0], _WITHOUT_TENSORS | told)[0]
        parts = {key: value for key, value in config.items() if key != 'data_preprocessor'}
        # Names and sizes; nothing is allocated. A recognizer asks the scope for its parts.
        with (torch.device('meta'), config_errors(),
              DefaultScope.overwrite_default_scope('tvtsv2_mm')):
            own = MODELS.build(parts)
        places = dict(own.state_dict())
        if model is None:
            places |= {key: tensors[key] for key in _head(tensors)}
        converted = to_own_layout(
            tensors, places, interpolate_positions=interpolate_positions, report=report)
        if _head(places) and _head(report['unneeded']):
            raise CheckpointError(
                f'its cls_head ({some(_head(report["unneeded"]))}) is of another kind than that of '
                f'the config ({some(_head(places))}): take the config that it was trained with, '
                'or one without a cls_head, which leaves it out')
        unknown, report['assumed'] = check_model(told, describe(own), report)
    tokenizer = told.neck.get('tokenizer')
    if model is not None:
        told |= describe(own) | Description(neck={} if tokenizer is None else dict(
            tokenizer=tokenizer))
    elif unknown:
        report['assumed'].append(
            f'{source} does not tell {", ".join(unknown)}: what loads {target} decides')
    folder = find_tokenizer(tokenizer or 'clip', [source])
    if folder is None:
        report['assumed'].append(
            f'the tokenizer.json of {tokenizer} is not beside {source}: put it beside {target}, or '
            f'into {FOLDER}/{tokenizer} there')
    elif folder != 'clip' and not split_name(str(tokenizer))[1]:
        told |= Description(neck=dict(tokenizer=name_of(folder)))
    for line in report['assumed']:
        print_log(line, logger='current', level=logging.WARNING)
    del tensors
    # What is new has no values yet.
    written = {key: value for key, value in converted.items() if not value.is_meta}
    if to == 'release':
        written = to_release_layout(written)
    kind = None if dtype is None else getattr(torch, dtype)
    written = {key: _for_file(value, kind) for key, value in written.items()}
    write_weights(written, target, told.record())
    if folder is not None:
        copy_tokenizer(folder, target.parent)
    return list(written)


def _head(weights: Iterable[str]) -> list[str]:
    """The names of the classifier, ours or a recognizer's."""
    return [key for key in weights if key.startswith('cls_head.')]


# What changes no tensor: one head always fits.
_WITHOUT_TENSORS = Description(
    backbone=dict(heads=1), neck=dict(heads=1, tokenizer='unknown'), sorting_head=dict(heads=1))


def to_release_layout(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name the tensors as the authors' release does, with its 'module.' before each.

    Raises:
        CheckpointError: the release has no place for some of them, or needs more.
    """
    released, unknown = convert_names(weights, RELEASE, to_foreign=True)
    if unknown:
        raise CheckpointError('the release layout has no place for:\n  ' + '\n  '.join(unknown)
                              + '\n(--config of a model without them leaves them out)')
    parts = {
        'backbone.temporal_embedding': 'time attention (FramewiseViT, or a CLIP not yet trained)',
        'neck.clip.text_projection.weight': 'a text encoder',
    }
    lacking = '; '.join(part for key, part in parts.items() if key not in weights)
    if lacking:
        raise CheckpointError(f'the release layout needs what these weights lack: {lacking}')
    return {f'module.{key}': value for key, value in released.items()}


def _check_options(source: Path, target: Path, to: str, dtype: str | None,
                   overwrite: bool) -> None:
    if to not in TARGET_LAYOUTS:
        raise ValueError(f'to must be one of {", ".join(TARGET_LAYOUTS)}, not {to!r}')
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f'dtype must be one of {", ".join(DTYPES)}, not {dtype!r}')
    if target.suffix not in SUFFIXES:
        raise ValueError(f'the target must end in {" or ".join(SUFFIXES)}: {target}')
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f'source and target are the same file: {target}')
    if target.exists() and not overwrite:
        raise FileExistsError(f'{target} exists (--overwrite replaces it)')


def _for_file(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A tensor that owns its memory alone, as file formats want it."""
    if dtype is not None and tensor.is_floating_point():
        tensor = tensor.to(dtype)
    tensor = tensor.detach().contiguous()
    alone = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if alone else tensor.clone()


def write_weights(weights: dict[str, Tensor], target: Path, record: dict) -> None:
    """Write the file whole or not at all, with what is known of the model."""
    if target.suffix != '.safetensors':
        save_whole(dict(state_dict=with_metadata(weights, {RECORD: record})), target)
        return

    def save(draft: Path) -> None:
        draft.touch()
        mode = draft.stat().st_mode
        save_file(weights, draft, metadata={'format': 'pt', RECORD: json.dumps(record)})
        draft.chmod(mode)  # safetensors lets nobody but the owner read

    make_folder(target.parent)
    write_atomically(target, save)

