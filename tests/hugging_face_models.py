"""Folders of small models of transformers with random weights, as the library writes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoImageProcessor, AutoModel, PreTrainedTokenizerFast

SIDE = 32
WORDS = ['<pad>', '<s>', '<unk>', 'a', 'the', 'dog', 'cat', 'man', 'runs', 'sleeps', 'in', 'grass',
         'of', 'video', 'person', '</s>']
END = WORDS.index('</s>')
_TOWER = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
_TEXT = dict(_TOWER, vocab_size=20, max_position_embeddings=16, bos_token_id=1, eos_token_id=END,
             pad_token_id=0)
_VISION = dict(_TOWER, image_size=SIDE, patch_size=8)
_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    'aimv2': ('Aimv2Config', dict(text_config=_TEXT, vision_config=_VISION, projection_dim=24)),
    'align': ('AlignConfig', dict(
        text_config=_TEXT, projection_dim=16, vision_config=dict(
            image_size=SIDE, width_coefficient=0.25, depth_coefficient=0.1, hidden_dim=16,
            kernel_sizes=[3, 3], in_channels=[32, 32], out_channels=[32, 64], strides=[1, 2],
            num_block_repeats=[1, 1], expand_ratios=[1, 2], depthwise_padding=[]))),
    'altclip': ('AltCLIPConfig', dict(
        text_config=dict(_TEXT, project_dim=32, max_position_embeddings=17),
        vision_config=_VISION, projection_dim=24)),
    'blip': ('BlipConfig', dict(
        text_config=dict(_TEXT, encoder_hidden_size=32, sep_token_id=END), vision_config=_VISION,
        projection_dim=24)),
    'chinese_clip': ('ChineseCLIPConfig', dict(
        text_config=_TEXT, vision_config=_VISION, projection_dim=24)),
    'clip': ('CLIPConfig', dict(text_config=_TEXT, vision_config=_VISION, projection_dim=24)),
    'groupvit': ('GroupViTConfig', dict(
        text_config=_TEXT, projection_dim=24, projection_intermediate_dim=32,
        vision_config=dict(_VISION, depths=[1, 1, 1], num_hidden_layers=3,
                           num_group_tokens=[4, 2, 0], num_output_groups=[4, 2, 0]))),
    'metaclip_2': ('MetaClip2Config', dict(
        text_config=_TEXT, vision_config=_VISION, projection_dim=24)),
    'siglip': ('SiglipConfig', dict(
        text_config=dict(_TEXT, projection_size=32), vision_config=_VISION)),
    'siglip2': ('Siglip2Config', dict(
        text_config=dict(_TEXT, projection_size=32),
        vision_config=dict(_TOWER, patch_size=8, num_patches=16))),
    'videoprism': ('VideoPrismConfig', dict(
        text_config=_TEXT, vision_config=dict(
            _TOWER, image_size=SIDE, tubelet_size=[1, 8, 8], num_frames=4, num_spatial_layers=1,
            num_temporal_layers=1, num_auxiliary_layers=1))),
    'xclip': ('XCLIPConfig', dict(
        text_config=_TEXT, projection_dim=24, prompt_num_attention_heads=2, prompt_layers=1,
        vision_config=dict(_VISION, num_frames=4, mit_hidden_size=24, mit_intermediate_size=32,
                           mit_num_hidden_layers=1, mit_num_attention_heads=2))),
}
KINDS = [kind for kind, (name, _) in _CONFIGS.items() if hasattr(transformers, name)]
_HALF = dict(image_mean=[0.5, 0.45, 0.4], image_std=[0.5, 0.55, 0.6], do_resize=True,
             do_rescale=True, rescale_factor=1 / 255, do_normalize=True)
_SQUARE = dict(_HALF, size=dict(height=SIDE, width=SIDE), resample=3)
_CROPPED = dict(_HALF, size=dict(shortest_edge=SIDE), resample=3, do_center_crop=True,
                crop_size=dict(height=SIDE, width=SIDE))
# As published models of each type have them.
_PROCESSORS = {
    'align': dict(_SQUARE, image_processor_type='EfficientNetImageProcessor', resample=2,
                  rescale_factor=1 / 127.5, rescale_offset=True, do_normalize=False,
                  include_top=False, do_center_crop=False),
    'blip': dict(_SQUARE, image_processor_type='BlipImageProcessor'),
    'chinese_clip': dict(
        _SQUARE, image_processor_type='ChineseCLIPImageProcessor', do_center_crop=False),
    'siglip': dict(_SQUARE, image_processor_type='SiglipImageProcessor'),
    'siglip2': dict(_HALF, image_processor_type='Siglip2ImageProcessor', resample=2, patch_size=8,
                    max_num_patches=16),
    'videoprism': dict(_SQUARE, video_processor_type='LlavaOnevisionVideoProcessor',
                       do_center_crop=False),
    'xclip': dict(_CROPPED, image_processor_type='VideoMAEImageProcessor', resample=2),
}
_PROCESSOR = dict(_CROPPED, image_processor_type='CLIPImageProcessor')


def make_model(kind: str) -> torch.nn.Module:
    """With random weights everywhere, so that no output is zero or one by its start."""
    name, values = _CONFIGS[kind]
    torch.manual_seed(0)
    model = AutoModel.from_config(getattr(transformers, name)(**values))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for name, value in model.named_buffers():
        if 'running' in name:
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return model.eval()


def make_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Words of the list above; CLIP's fill up with the token that ends a text."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, '<unk>'))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single='<s> $A </s>', special_tokens=[('<s>', 1), ('</s>', END)])
    fills = '</s>' if kind in ('clip', 'xclip', 'metaclip_2', 'groupvit', 'aimv2') else '<pad>'
    siglip = ['input_ids'] if kind in ('siglip', 'siglip2') else ['input_ids', 'attention_mask']
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token='<s>', eos_token='</s>', unk_token='<unk>',
        pad_token=fills, model_max_length=16, model_input_names=siglip)


def make_folder(folder: Path, kind: str, **changes) -> torch.nn.Module:
    """A model's folder, with ``changes`` to what its processor does; the library's model."""
    model = make_model(kind)
    model.save_pretrained(folder)
    make_tokenizer(kind).save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(
        json.dumps(_PROCESSORS.get(kind, _PROCESSOR) | changes))
    return model


def tokens_of(folder: Path, texts: list[str]) -> dict[str, torch.Tensor]:
    """What the library's own tokenizer makes of texts, padded as the model was trained."""
    return PreTrainedTokenizerFast.from_pretrained(folder)(
        texts, padding='max_length', truncation=True, return_tensors='pt')


def pixels_of(folder: Path, frames: np.ndarray) -> dict[str, torch.Tensor]:
    """What the library's own processor makes of frames, uint8 (T, H, W, 3), by PIL if it can."""
    pictures = [Image.fromarray(frame) for frame in frames]
    config = json.loads((folder / 'config.json').read_text())
    if config['model_type'] == 'videoprism':
        processor = transformers.LlavaOnevisionVideoProcessor.from_pretrained(folder)
        return processor([pictures], do_normalize=False, return_tensors='pt')
    processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)
    pixels = processor(pictures, return_tensors='pt')
    if config['model_type'] == 'xclip' and pixels['pixel_values'].ndim == 4:  # transformers 5
        pixels['pixel_values'] = pixels['pixel_values'][None]
    return pixels
