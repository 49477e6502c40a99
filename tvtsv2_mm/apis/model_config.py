"""Which model a checkpoint holds, so that a checkpoint file alone is enough."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.infer import BaseInferencer
from torch import Tensor

from tvtsv2_mm.checkpoints.convert import convert_names, detect_layout
from tvtsv2_mm.checkpoints.layouts import RELEASE

# Published sizes by the width and the side of a patch; heads cannot be read from tensors.
PUBLISHED = {
    (768, 16): 'vit-b16',
    (768, 32): 'vit-b32',
    (1024, 14): 'vit-l14',
    (1280, 14): 'vit-h14',
}


def config_of_checkpoint(checkpoint: Mapping[str, Any], name: str) -> ConfigDict:
    """Find the config of a checkpoint.

    Args:
        checkpoint: what the file holds: a checkpoint that this package wrote carries its config; a
            TVTSv2 release (``TVTSv2_ViT_*.pth``) is told by the sizes of its tensors.
        name: as errors call the file.

    Returns:
        A config with at least ``model``.

    Raises:
        ValueError: neither of the two; the config has to be given.
        CheckpointError: the layout is unknown.
    """
    text = _written_config(checkpoint)
    if text is not None:
        return ConfigDict(literal_config(text))
    return published_config(checkpoint.get('state_dict', checkpoint), name)


def published_config(given: Mapping[str, Tensor], name: str) -> ConfigDict:
    """Find the config of a TVTSv2 release by the sizes of its tensors.

    A release without ``pred_model.*`` gives a model without a sorting head.

    Raises:
        ValueError: another layout, or a size that was never published.
    """
    given = {key.removeprefix('module.'): value for key, value in given.items()}
    layout = detect_layout(given)
    tensors, _ = convert_names(given, layout)
    if layout is not RELEASE:
        raise ValueError(f'{name} has the layout {layout.name}, which does not tell its model: '
                         'give the config')
    width, _, patch, _ = tensors['backbone.conv1.weight'].shape
    size = PUBLISHED.get((width, patch))
    if size is None:
        known = ', '.join(f'{w} and {p}' for w, p in PUBLISHED)
        raise ValueError(f'{name}: width {width} with patches of {patch} pixels is no published '
                         f'size (those are {known}): give the config')
    folder = Path(BaseInferencer._get_repo_or_mim_dir('tvtsv2_mm'))
    cfg = Config.fromfile(folder / 'configs' / '_base_' / 'models' / f'tvtsv2_{size}.py')
    cfg.model.backbone.num_frames = len(tensors['backbone.temporal_embedding'])
    if not any(key.startswith('sorting_head.') for key in tensors):
        cfg.model.sorting_head = None
    return cfg._cfg_dict


def literal_config(text: str) -> dict:
    """Read the text of a dumped config, which is assignments of literals, without running it.

    A checkpoint may come from anywhere: its config must not be a way to run code.

    Raises:
        ValueError: there is something else in it.

    Examples:
        >>> literal_config("a = dict(b=[1, -2.5], c={'x y': None})")
        {'a': {'b': [1, -2.5], 'c': {'x y': None}}}
    """
    result = {}
    for statement in ast.parse(text).body:
        if (not isinstance(statement, ast.Assign) or len(statement.targets) != 1
                or not isinstance(statement.targets[0], ast.Name)):
            raise ValueError('the config in the checkpoint is more than literals (line '
                             f'{statement.lineno}): give the config')
        result[statement.targets[0].id] = _literal(statement.value)
    return result


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        merged = {}
        for argument in node.args:
            merged.update(_literal(argument))
        for keyword in node.keywords:
            value = _literal(keyword.value)
            merged.update(value if keyword.arg is None else {keyword.arg: value})
        return merged
    if isinstance(node, ast.List | ast.Tuple):
        values = [_literal(value) for value in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_literal(key): _literal(value)
                for key, value in zip(node.keys, node.values, strict=True)}
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError('the config in the checkpoint is more than literals (line '
                         f'{node.lineno}): give the config') from None


def _written_config(checkpoint: Mapping[str, Any]) -> str | None:
    for keys in (('message_hub', 'runtime_info', 'cfg'), ('meta', 'cfg')):
        value: Any = checkpoint
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            return value
    return None
