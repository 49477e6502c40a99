"""What a config leaves out of its data sets and transforms: the model's sizes, and its own names.

So one protocol serves every size, and ``--cfg-options data_root=MY_VIDEOS``, or the same line in a
config that inherits, reaches every data set.
"""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from tvtsv2_mm.apis.launch.library_models import complete_parts
from tvtsv2_mm.checkpoints.files import tokenizer_of
from tvtsv2_mm.checkpoints.published import is_published, locate
from tvtsv2_mm.checkpoints.whole import named_checkpoint
from tvtsv2_mm.registry import DATASETS
from tvtsv2_mm.utils.config_errors import walk
from tvtsv2_mm.utils.tokenizer import same_tokenizer
from tvtsv2_mm.utils.tokenizer_files import find_tokenizer

# What a data set takes from the config's top level if it does not say it itself, and where.
_OF_DATASETS = {'data_root': 'ann_file', 'held_out_share': 'held_out_by'}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def fit_to_model(cfg: Config, *, fetch: bool = True) -> None:
    """Fill in, in place, what the data sets, transforms and heads of a config leave out.

    Frames, crop, context and patches become those of ``model``; OpenVideo before a CropClip gets
    the release's short side, 1.2 times the crop; ``mask_ratio``, ``data_root`` and
    ``held_out_share`` are the config's names at the top, for data sets that are not MMAction2's.
    So is ``tokenizer``, the folder by whose files texts become tokens; where the text encoder does
    not read CLIP's, and no folder is named, it is the one beside the weights that are loaded.
    Of a model that transformers runs all of these stand in its folder.
    What a hook with a model of its own has is filled in for that model. What is given stays, but
    that names of weights become the files that are fetched for them; those of hooks only when they
    are read, which a test does not.

    Args:
        cfg: the config.
        fetch: whether names of weights are fetched; not where a run goes on from its own.
    """
    model = cfg.get('model') or {}
    parts = (cfg, *(part for _, part in walk([model]) if isinstance(part, dict)))
    for part in parts if fetch else ():
        for key in ('load_from', 'checkpoint'):
            if is_published(part.get(key)):
                part[key] = locate(part[key])
    hooks = [cfg.get('custom_hooks'), cfg.get('default_hooks')]
    # Of a ZeroShotCheckHook, whose data are for the model that it tests.
    for _, part in walk(hooks):
        if isinstance(part, dict) and isinstance(part.get('model'), dict):
            _fit([part], part['model'], cfg)
    _fit([*(cfg.get(loader) for loader in LOADERS), model, *hooks], model, cfg)


def _fit(places: list, model: dict, cfg: Config) -> None:
    """Fill in what lies in some places of a config, for one model."""
    library = complete_parts(model, cfg.get('load_from'))
    backbone, neck = model.get('backbone') or {}, model.get('neck') or {}
    size = backbone.get('image_size')
    context = dict(
        context_length=neck.get('context_length'), tokenizer=_tokenizer(cfg, model, neck))
    sizes = {
        'SampleClipFrames': dict(num_frames=backbone.get('num_frames')),
        'CropClip': dict(size=size),
        'RandomTubeMask': dict(patch_size=backbone.get('patch_size'), ratio=cfg.get('mask_ratio')),
        'TokenizeText': context,
        'QueryBankHook': context,
        'OutOfTheBoxMonitorHook': context,
        'ZeroShotHead': context,
        'VideoConditionedZeroShotHead': context,
        **library,
    }
    for _, part in walk(places):
        if not isinstance(part, dict):
            continue
        _fill(part, sizes.get(_kind(part), {}))
        if not _of_mmaction2(part):
            _fill(part, {key: cfg.get(key) for key, beside in _OF_DATASETS.items()
                         if beside in part})
        pipeline = [step for step in part.get('pipeline') or () if isinstance(step, dict)]
        for crop in (step for step in pipeline if _kind(step) == 'CropClip'):
            crop_size = crop.get('size', size)
            for step in pipeline:
                if _kind(step) == 'OpenVideo' and 'OpenVideo' not in library:
                    _fill(step, dict(short_side=crop_size and int(1.2 * crop_size)))


def _tokenizer(cfg: Config, model: Mapping, neck: Mapping) -> str | None:
    """The folder of the tokenizer: the config's, or that beside the weights; None for CLIP's."""
    given = cfg.get('tokenizer')
    if not given and neck.get('folder'):  # HuggingFaceTextEncoder's, which may be called clip
        return os.path.abspath(neck['folder'])
    if given or neck.get('tokenizer', 'clip') == 'clip':
        return given
    starts = [part.get('init_cfg') for part in (model, neck)]
    work_dir = cfg.get('work_dir')
    for place in (cfg.get('load_from'), work_dir and named_checkpoint(work_dir),
                  *(start.get('checkpoint') for start in starts if isinstance(start, Mapping))):
        if isinstance(place, str) and '://' not in place:
            told = tokenizer_of(place)
            own = told and same_tokenizer(told, neck['tokenizer'])
            folder = find_tokenizer(told if told and own else neck['tokenizer'], [place])
            if folder is not None:
                return folder
    return None


def move_data_root(cfg: Config, root: str) -> None:
    """Set ``data_root`` and move every path of the config that lies below the old one."""
    old = cfg.get('data_root')
    if old is not None:
        cfg.merge_from_dict(_moved(cfg._cfg_dict.to_dict(), old, root))
    cfg.data_root = root


def _moved(node: Any, old: str, new: str) -> Any:
    if isinstance(node, Mapping):
        return {key: _moved(value, old, new) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_moved(value, old, new) for value in node)
    if isinstance(node, str) and (node == old or node.startswith(f'{old}/')):
        return new + node[len(old):]
    return node


def _fill(part: dict, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is not None:
            part.setdefault(key, value)


def _of_mmaction2(part: Mapping) -> bool:
    """Whether it is a data set of MMAction2, whose configs give it whole paths."""
    kind = part.get('type') if 'ann_file' in part else None
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    return cls is not None and cls.__module__.startswith('mmaction.')


def _kind(part: Mapping) -> str:
    """The class that a config names, without the scope."""
    kind = part.get('type')
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', '')
