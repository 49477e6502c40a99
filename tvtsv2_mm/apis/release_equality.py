"""Compare this model with stored inputs, outputs and gradients of the authors' release."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import RELEASE
from tvtsv2_mm.models import VideoTextModel

OUTPUT_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
# What differs between the release's two model files (reference: its OpenAI- and OpenCLIP-type).
KINDS = {
    'B': dict(activation='quick_gelu', token_output='all_normed'),
    'H': dict(activation='gelu', token_output='patches_raw'),
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest error of one quantity ('video_embeds', 'grad/video_model.proj', ...).

    It is absolute; of a gradient, relative to the largest value in its tensor.
    """

    quantity: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance (NaN is not)."""
        return self.error <= self.tolerance


def build_model(metadata: Mapping[str, str]) -> VideoTextModel:
    """Build the model whose sizes a golden file's metadata gives; no text block is frozen."""
    kind = metadata.get('kind')
    if kind not in KINDS:
        raise ValueError(
            f"kind must be one of {sorted(KINDS)} in the file's metadata, not {kind!r}")

    def size(key: str) -> int:
        if key not in metadata:
            raise ValueError(f"the file's metadata lacks {key!r}")
        return int(metadata[key])

    return VideoTextModel(
        backbone=dict(
            type='SpaceTimeViT', image_size=size('res'), patch_size=size('patch'),
            width=size('width'), layers=size('layers'), heads=size('heads'),
            embed_dim=size('embed'), num_frames=size('frames'), **KINDS[kind]),
        neck=dict(
            type='PartiallyFrozenTextEncoder', width=size('twidth'), layers=size('tlayers'),
            heads=size('theads'), embed_dim=size('embed'), vocab_size=size('vocab'),
            context_length=size('ctx'), frozen_layers=0, activation=KINDS[kind]['activation']),
        contrastive_head=dict(type='VideoTextContrastiveHead'),
        sorting_head=dict(
            type='TranscriptSortingHead', embed_dim=size('embed'), num_transcripts=size('K'),
            heads=size('sort_heads'), depth=size('sort_depth')))


def compare_with_release(path: str | Path) -> Iterator[Difference]:
    """Run one golden file and yield the difference of every output and gradient in it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file has not the golden layout.
    """
    metadata, golden = _read(path)
    model = build_model(metadata)
    model.load_state_dict({
        key.removeprefix('state_dict/'): value for key, value in golden.items()
        if key.startswith('state_dict/')
    })
    inputs = dict(
        video=golden['video'], tokens=golden['tokens'], kept_patches=golden['keep_ind'])
    outputs = model(inputs, mode='tensor')
    outputs['text_mean'] = outputs['text_embeds'].mean(dim=1)
    losses = model(inputs, [], mode='loss')
    outputs |= {name: losses[name] for name in ('loss_contrastive', 'loss_sorting')}
    for name, value in outputs.items():
        error = (value - golden[name]).abs().max().item()
        yield Difference(quantity=name, error=error, tolerance=OUTPUT_TOLERANCE)

    (losses['loss_contrastive'] + losses['loss_sorting']).backward()
    # Compared in the release's own tensors: the key bias alone, a part of its fused qkv bias, has a
    # gradient of zero but for rounding.
    gradients, _ = convert_names(
        {name: parameter.grad for name, parameter in model.named_parameters()}, RELEASE,
        to_foreign=True)
    for name, gradient in gradients.items():
        if f'grad/{name}' not in golden:
            raise ValueError(f'{path} has no grad/{name}')
        expected = golden[f'grad/{name}']
        largest = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
        error = (gradient - expected).abs().max() / largest
        yield Difference(
            quantity=f'grad/{name}', error=error.item(), tolerance=GRADIENT_TOLERANCE)


def _read(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}')
    try:
        with safe_open(path, 'pt') as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f'{path} is not a safetensors file: {error}') from error
    needed = ('video', 'keep_ind', 'tokens', 'text_embeds', 'text_mean', 'video_embeds',
              'video_tokens', 'order_logits', 'loss_contrastive', 'loss_sorting')
    lacking = [key for key in needed if key not in tensors]
    if lacking:
        raise ValueError(f'{path} has not the golden layout: it lacks {", ".join(lacking)}')
    tensors['keep_ind'] = tensors['keep_ind'].to(torch.int64)
    return metadata, tensors
