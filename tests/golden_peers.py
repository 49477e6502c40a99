"""Small random models of other systems by their authors' code: weights, inputs and outputs."""

import json
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors import safe_open

from tvtsv2_mm.models import VideoTextModel

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / 'tests' / 'data' / 'golden'
MODELS = ROOT / 'configs' / '_base_' / 'models'
NAMES = ('imagebind', 'internvideo', 'viclip')
# Base configs and the list of names and shapes in the published file of each.
PUBLISHED = {'imagebind_huge': 'ImageBind', 'internvideo_b16': 'InternVideo_B',
             'internvideo_l14': 'InternVideo_L', 'viclip_b16': 'ViCLIP_B',
             'viclip_l14': 'ViCLIP_L'}


def read_golden(name: str) -> tuple[dict, dict, dict]:
    """Weights by their authors' names; inputs and outputs by name; sizes."""
    with safe_open(GOLDEN / f'{name}.safetensors', 'pt') as file:
        content = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        sizes = json.loads(file.metadata()['config'])
    values = {key: content.pop(key) for key in [*content]
              if key.startswith(('input.', 'output.'))}
    return content, values, sizes


def read_config(name: str) -> Config:
    """A base config of the peers."""
    return Config.fromfile(MODELS / f'{name}.py')


def small_parts(name: str) -> dict:
    """Backbone and neck of a base config in the sizes of the golden weights."""
    _, _, sizes = read_golden(name)
    model = read_config({'imagebind': 'imagebind_huge'}.get(name, f'{name}_b16')).model.to_dict()
    if name == 'imagebind':
        backbone = dict(image_size=sizes['image_size'], embed_dim=sizes['out_embed_dim'],
                        width=sizes['vision_embed_dim'], layers=sizes['vision_num_blocks'],
                        heads=sizes['vision_num_heads'])
        neck = dict(width=sizes['text_embed_dim'], layers=sizes['text_num_blocks'],
                    heads=sizes['text_num_heads'])
    else:
        backbone = dict(image_size=sizes['input_resolution'], patch_size=sizes['patch_size'],
                        width=sizes['vision_width'], layers=sizes['vision_layers'],
                        heads=sizes['vision_heads'], embed_dim=sizes['embed_dim'],
                        num_frames=sizes['num_frames'])
        neck = dict(width=sizes['text_width'], layers=sizes['text_layers'],
                    heads=sizes['text_heads'])
    if name == 'internvideo':
        backbone['decoders'] = len(sizes['return_list'])
    neck.update(embed_dim=backbone['embed_dim'], vocab_size=sizes['vocab_size'], frozen_layers=0)
    return dict(backbone=model['backbone'] | backbone, neck=model['neck'] | neck,
                contrastive_head=model['contrastive_head'])


def make_peer(name: str, **backbone) -> VideoTextModel:
    """A small model with random weights of its own."""
    parts = small_parts(name)
    parts['backbone'].update(backbone)
    return VideoTextModel(**parts).eval()


def as_published(name: str, weights: dict) -> dict:
    """What the file of the authors holds."""
    if name == 'internvideo':
        return dict(state_dict={f'clip.{key}': value for key, value in weights.items()})
    return dict(model=weights) if name == 'viclip' else weights


def clips_of(values: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips as ours take them, the views one after the other, and the tokens of texts."""
    layout = {'vision': lambda x: x.transpose(2, 3).flatten(0, 1),
              'video_BCTHW': lambda x: x.transpose(1, 2), 'video_BTCHW': lambda x: x}
    [clips] = [change(values[f'input.{name}']) for name, change in layout.items()
               if f'input.{name}' in values]
    return clips, values['input.text_ids']


def published_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a published file, ``{i}`` a block's number."""
    keys = json.loads((GOLDEN / 'peer_keys.json').read_text())[name]
    return {key.replace('{i}', str(i)): tuple(entry['shape'])
            for key, entry in keys.items() for i in range(entry.get('blocks', 1))}
