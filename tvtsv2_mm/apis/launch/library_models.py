"""What a model of transformers decides of a config: all that stands in its folder.

So one config serves every such model: the folder is that of the checkpoint, and frames, pixels,
texts and widths are read from it.
"""

from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from tvtsv2_mm.checkpoints.hugging_face import (
    context_of,
    frames_of,
    model_folder,
    read_config,
    read_pixels,
    width_of,
)
from tvtsv2_mm.choices import NUM_FRAMES

_BACKBONES = ('HuggingFaceBackbone', 'XClipBackbone')
_NECKS = ('HuggingFaceTextEncoder', )


def complete_parts(model: dict, start: str | None) -> dict[str, dict[str, Any]]:
    """Fill in, in place, what the parts of a model that transformers runs leave out.

    Args:
        model: of a config.
        start: the checkpoint that is loaded; where it is a folder, the parts are of that.

    Returns:
        What the folder decides of transforms and heads, by their type; nothing for other models.

    Raises:
        FileNotFoundError, CheckpointError: the folder has no such model.
    """
    found: dict[str, dict[str, Any]] = {}
    backbone, neck = (model.get(name) or {} for name in ('backbone', 'neck'))
    for part, types in ((backbone, _BACKBONES), (neck, _NECKS)):
        if str(part.get('type')).rpartition('.')[2] not in types:
            continue
        folder = part.get('folder') or start
        if folder is None or not Path(folder).is_dir():
            continue  # the part says what it lacks
        folder = model_folder(folder)
        part['folder'] = str(folder)
        config, _ = read_config(folder)
        if part is neck:
            part.setdefault('context_length', context_of(folder, config))
            continue
        pixels = read_pixels(folder, config)
        part.setdefault('image_size', pixels.image_size)
        part.setdefault('num_frames', frames_of(config) or NUM_FRAMES)
        found = {'OpenVideo': dict(short_side=pixels.short_side, keep_ratio=pixels.keep_ratio,
                                   interpolation=pixels.interpolation),
                 'LinearProbeHead': dict(embed_dim=width_of(config))}
    return found


def config_of_folder(folder: str) -> Config | None:
    """The config of a model of transformers, by its folder alone; None where that has none.

    Raises:
        FileNotFoundError, CheckpointError: it has one of a kind that is not run here.
    """
    if not Path(folder).is_dir() or not {'config.json', 'modules.json'} & {
            path.name for path in Path(folder).iterdir()}:
        return None
    steps = [dict(type='OpenVideo'), dict(type='SampleClipFrames', mode='middle'),
             dict(type='DecodeClip'), dict(type='CropClip', mode='center')]
    return Config(ConfigDict(
        load_from=folder, test_dataloader=dict(dataset=dict(pipeline=steps)),
        model=dict(type='VideoTextModel', backbone=dict(type=_BACKBONES[0]),
                   neck=dict(type=_NECKS[0]),
                   data_preprocessor=dict(type='VideoTextDataPreprocessor'))))
