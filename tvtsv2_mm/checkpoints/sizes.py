"""Read the sizes of a model from its weights, and write them as the config that fits."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tvtsv2_mm.utils.tokenizer import VOCAB_SIZE

from .description import CLIP_MEAN, CLIP_STD, HALF, Description
from .errors import CheckpointError
from .layouts import SIGLIP_TEXT, TEXT

HEAD_WIDTH = 64
NORM_EPS = (1e-5, "CLIP's and torch's")
SIGLIP_EPS = (1e-6, "SigLIP's")
# The published models whose heads are wider: ViT-H-14, ViT-g-14, ViT-bigG-14; So400m and giant of
# SigLIP.
WIDE_HEADS = {1280: 80, 1408: 88, 1664: 104, 1152: 72, 1536: 96}
# OpenAI published no CLIP as wide as ViT-H-14; narrower ones exist of both.
OPENCLIP_WIDTH = 1280
# The tokenizers of SigLIP by the number of their tokens: SigLIP, SigLIP 2.
SIGLIP_TOKENIZERS = {32000: 'SiglipTokenizer', 256000: 'GemmaTokenizer'}


def model_config(weights: Mapping[str, Tensor], known: Description | None = None) -> tuple[
        dict, list[str]]:
    """Derive the config of the model that has such weights.

    Args:
        weights: by our names.
        known: what is known beside the tensors.

    Returns:
        The config, and for each value in it that was neither read from the tensors nor known, a
        line that says what it rests on.

    Raises:
        CheckpointError: a tensor from which a size is read is missing or has another form, or its
            size is not the known one.
    """
    found = _Sizes(weights, known or Description())
    backbone = found.backbone()
    config: dict[str, Any] = dict(type='VideoTextModel', backbone=backbone)
    if any(key.startswith('neck.') for key in weights):
        config['neck'] = found.neck(backbone['activation'])
    if 'contrastive_head.logit_bias' in weights:
        config['contrastive_head'] = dict(type='VideoTextSigmoidHead')
    if any(key.startswith('sorting_head.') for key in weights):
        config['sorting_head'] = found.sorting_head()
    if 'cls_head.fc.weight' in weights:
        classes, embed_dim = found.shape('cls_head.fc.weight', 2)
        config['cls_head'] = dict(
            type='LinearProbeHead', num_classes=classes, embed_dim=embed_dim)
    if found.known.data_preprocessor or backbone['type'] == 'FramewiseViT':
        mean, std = ((HALF, "SigLIP's"), ) * 2 if found.siglip else (
            (CLIP_MEAN, "CLIP's"), (CLIP_STD, "CLIP's"))
        config['data_preprocessor'] = dict(type='VideoTextDataPreprocessor', **found.complete(
            'data_preprocessor', {}, mean=mean, std=std))
    return config, found.assumed


class _Sizes:
    """What the tensors say of a model's parts, what is known, and what is guessed beside them."""

    def __init__(self, weights: Mapping[str, Tensor], known: Description) -> None:
        self.weights, self.known = weights, known
        self.probe = 'backbone.pooling.probe' in weights
        self.siglip = self.probe and 'backbone.class_embedding' not in weights
        self.assumed: list[str] = []

    def backbone(self) -> dict[str, Any]:
        width, channels, patch, _ = self.shape('backbone.conv1.weight', 4)
        frames_per_patch, rest = divmod(channels, 3)
        if rest:
            raise CheckpointError(f'backbone.conv1.weight reads {channels} channels, not 3, or 3 '
                                  'of each of several frames')
        if not self.probe:
            self.shape('backbone.class_embedding', 1)
        positions = self.shape('backbone.positional_embedding', 2)[0] - (not self.siglip)
        grid = math.isqrt(positions)
        if not positions or grid * grid != positions:
            raise CheckpointError(f'backbone.positional_embedding is for {positions} patches, '
                                  'which are no square grid')
        # Only SigLIP's embeddings come out of the pooling as they are.
        without_proj = self.siglip and 'backbone.proj' not in self.weights
        sizes = dict(
            image_size=grid * patch, patch_size=patch, width=width,
            layers=self.count(r'backbone\.resblocks\.(\d+)\.'),
            mlp_width=self.shape('backbone.resblocks.0.mlp.c_fc.weight', 2)[0],
            embed_dim=width if without_proj else self.shape('backbone.proj', 2)[1])
        backbone = self.complete(
            'backbone', sizes, heads=self.heads('backbone', width, WIDE_HEADS),
            activation=self.activation(width), norm_eps=SIGLIP_EPS if self.siglip else NORM_EPS)
        if without_proj:
            backbone['embed_dim'] = None
        backbone |= self.variant(backbone)
        if 'backbone.temporal_cls_token' in self.weights:
            return dict(type='InternVideoViT', **backbone,
                        decoders=self.count(r'backbone\.dec\.(\d+)\.'))
        if 'backbone.temporal_embedding' not in self.weights:
            average = self.known.backbone.get('average')
            several = dict(frames_per_patch=frames_per_patch, num_frames=frames_per_patch)
            return dict(type='FramewiseViT', **backbone,
                        **({} if average is None else dict(average=average)),
                        **({} if frames_per_patch == 1 else several))
        frames = dict(num_frames=self.shape('backbone.temporal_embedding', 2)[0])
        output = 'all_normed' if backbone['activation'] == 'quick_gelu' else 'patches_raw'
        joint = not any('.timeattn.' in key for key in self.weights)
        return dict(type='SpaceTimeViT', **backbone, **self.complete(
            'backbone', frames, token_output=(output, 'goes with the activation')),
            **(dict(attention='joint') if joint else {}))

    def activation(self, width: int) -> tuple[str, str]:
        if self.siglip:
            return ('gelu_pytorch_tanh',
                    "that of transformers' SigLIP; OpenCLIP's have 'gelu' or this, by their size")
        if self.probe:
            return 'gelu', "PE-core's"
        if width >= OPENCLIP_WIDTH:
            return 'gelu', "that of OpenCLIP's models of this width"
        return ('quick_gelu', "that of OpenAI's CLIP and the release's ViT-B; most of OpenCLIP's "
                              "have 'gelu'")

    def variant(self, backbone: Mapping[str, Any]) -> dict[str, Any]:
        """What of the backbone is otherwise than in CLIP."""
        # Without a probe what is lacking is an error: the original then takes a mean of tokens.
        found: dict[str, Any] = dict(class_token=False) if self.siglip else {}
        if self.probe and 'backbone.ln_pre.weight' not in self.weights:
            found['pre_norm'] = False
        if 'backbone.conv1.bias' in self.weights:
            found['patch_bias'] = True
        if self.probe:
            mlp_width = self.shape('backbone.pooling.mlp.c_fc.weight', 2)[0]
            if mlp_width != backbone['mlp_width']:
                raise CheckpointError(
                    f"backbone.pooling has an MLP of width {mlp_width}, the blocks' have "
                    f"{backbone['mlp_width']} (as in PE-core G): that is not implemented")
            found['pooling'] = 'AttentionPooling'
            found |= self.complete('backbone', {}, pooling_heads=(
                backbone.get('heads'), 'those of the blocks, as in SigLIP'))
        rotary = self.known.backbone.get('rotary')
        return found if rotary is None else found | dict(rotary=rotary)

    def neck(self, activation: str) -> dict[str, Any]:
        siglip = any(key.startswith(SIGLIP_TEXT) for key in self.weights)
        stem, projection = (SIGLIP_TEXT, f'{SIGLIP_TEXT}.head.weight') if siglip else (
            TEXT, 'neck.clip.text_projection.weight')
        vocab_size, width = self.shape(f'{stem}.embeddings.token_embedding.weight', 2)
        layers = self.count(re.escape(f'{stem}.encoder.layers.') + r'(\d+)\.')
        sizes = dict(
            width=width, layers=layers,
            mlp_width=self.shape(f'{stem}.encoder.layers.0.mlp.fc1.weight', 2)[0],
            embed_dim=self.shape(projection, 2)[0], vocab_size=vocab_size,
            context_length=self.shape(f'{stem}.embeddings.position_embedding.weight', 2)[0])
        frozen = dict(frozen_layers=layers * 3 // 4)
        common = dict(heads=self.heads('neck', width, WIDE_HEADS if siglip else None),
                      activation=(activation, "the video encoder's"))
        if siglip:
            if 'tokenizer' not in self.known.neck and vocab_size not in SIGLIP_TOKENIZERS:
                raise CheckpointError(
                    f'the text encoder has {vocab_size} tokens, which is the number of no '
                    'tokenizer of SigLIP that is known here. Say whose: neck.tokenizer=NAME')
            return dict(type='PartiallyFrozenSiglipTextEncoder', **self.complete(
                'neck', sizes, **common, norm_eps=SIGLIP_EPS, tokenizer=(
                    SIGLIP_TOKENIZERS.get(vocab_size), 'by the number of tokens')), **frozen)
        if vocab_size > VOCAB_SIZE and 'tokenizer' not in self.known.neck:
            raise CheckpointError(
                f"the text encoder has {vocab_size} tokens, CLIP's tokenizer {VOCAB_SIZE}: it "
                'reads the tokens of another one. Say whose: neck.tokenizer=NAME, and its '
                'neck.end_token')
        return dict(type='PartiallyFrozenTextEncoder', **self.complete(
            'neck', sizes, **common, norm_eps=NORM_EPS,
            end_token=(None, 'the embedding is read at the highest id, as in CLIP'),
            tokenizer=('clip', "CLIP's own")), **frozen)

    def sorting_head(self) -> dict[str, Any]:
        embed_dim = self.shape('sorting_head.type_embed', 3)[2]
        sizes = dict(
            embed_dim=embed_dim, num_transcripts=self.shape('sorting_head.head.weight', 2)[0],
            depth=self.count(r'sorting_head\.blocks\.(\d+)\.'))
        return dict(type='TranscriptSortingHead', **self.complete(
            'sorting_head', sizes, heads=self.heads('sorting_head', embed_dim)))

    def complete(self, part: str, sizes: Mapping[str, int],
                 **guesses: tuple[Any, str]) -> dict[str, Any]:
        """The sizes, and what is known or guessed beside them (value and reason)."""
        told = getattr(self.known, part)
        for name, value in sizes.items():
            if told.get(name, value) != value:
                raise CheckpointError(f'{part}.{name} is {value} by the tensors, but {told[name]} '
                                      f"by {self.known.source or 'what was given'}")
        self.assumed += [f'{part}.{name}={value!r}: {reason}'
                         for name, (value, reason) in guesses.items() if name not in told]
        return {**sizes, **{name: told.get(name, value) for name, (value, _) in guesses.items()
                            if (name, value) != ('heads', None)}}

    def heads(self, part: str, width: int, wide: Mapping[int, int] | None = None) -> tuple[
            int | None, str]:
        given = getattr(self.known, part).get('heads')
        if given is not None:
            if width % given:
                raise CheckpointError(f'{part}.heads={given} does not divide the width {width} of '
                                      'the tensors')
            return given, 'known'
        head_width = (wide or {}).get(width, HEAD_WIDTH)
        if width % head_width:
            return None, (f'cannot be told from the tensors: their width {width} is no multiple of '
                          f'{HEAD_WIDTH}, the width of a head in CLIP. Give {part}.heads=NUMBER')
        return width // head_width, f'heads of width {head_width}, as in CLIP'

    def count(self, pattern: str) -> int:
        found = {match[1] for match in (re.match(pattern, key) for key in self.weights) if match}
        # A single name may say any number; a model of so many layers would be built.
        if found != {str(i) for i in range(len(found))}:
            raise CheckpointError(f'the sizes cannot be read: there are {len(found)} layers '
                                  f'{pattern}, but not numbers 0 to {len(found) - 1}')
        return len(found)

    def shape(self, key: str, dimensions: int) -> tuple[int, ...]:
        if key not in self.weights:
            raise CheckpointError(f'the sizes cannot be read: the checkpoint lacks {key}')
        shape = tuple(self.weights[key].shape)
        if len(shape) != dimensions or not all(shape):
            raise CheckpointError(f'the sizes cannot be read: {key} has the shape {shape}, not '
                                  f'{dimensions} dimensions')
        return shape
