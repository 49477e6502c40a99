"""Name rules between the checkpoint layouts of others and ours: tables, no code per layout.

A rule is (foreign name, our name). ``{i}`` stands for a block's number and ``{*}`` for 'weight' or
'bias'; a tuple of names on one side are the parts (q, k, v, or q and k with v) of what the other
side holds in one tensor, stacked in the first dimension; a name of ``CHANGES`` behind a rule
changes the tensor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp

from torch import Tensor

Names = str | tuple[str, ...]
# From the foreign tensor to ours, and back.
CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = dict(
    T=(lambda x: x.t(), lambda x: x.t()),
    number=(lambda x: x.reshape(1), lambda x: x.reshape(1)),
    row=(lambda x: x.flatten(), lambda x: x[None, None]),  # (1, 1, D), (D,)
    rows=(lambda x: x.flatten(0, 1), lambda x: x[None]),  # (1, N, D), (N, D)
    # Of patches that span t frames: (D, 3, t, p, p), (D, 3 * t, p, p).
    frames=(lambda x: x.flatten(1, 2), lambda x: x.unflatten(1, (3, -1))))
# What TVTSv2 adds to a CLIP.
TIME = ('backbone.temporal_embedding', 'backbone.resblocks.{i}.ln_3.',
        'backbone.resblocks.{i}.timeattn.')
HEADS = ('contrastive_head.', 'sorting_head.', 'cls_head.')
# Parts that transformers itself runs, by its names; see hugging_face.py.
LIBRARY_PLACES = ('backbone.hf.', 'neck.hf.')


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One checkpoint layout."""

    name: str  # as errors and logs call it
    marker: str  # a key that every such checkpoint has, and none of the layouts behind in LAYOUTS
    rules: tuple[tuple, ...]  # (foreign, ours) or (foreign, ours, change)
    dropped: tuple[str, ...] = ()  # foreign keys (patterns) that mean nothing here
    unneeded: tuple[str, ...] = ()  # foreign prefixes of what is for other things than ours
    lost: tuple[str, ...] = ()  # that change the embeddings, and have no place here
    zero: tuple[str, ...] = ()  # that are 0 in what was published: another value is an error
    new: tuple[str, ...] = (*TIME, *HEADS)  # prefixes of our keys that it lacks: kept as they are
    antialias: bool | None = None  # how its library resizes positions; see resize_spatial
    # The number that tells the temperature of its contrast, and how.
    temperature: tuple[str, Callable[[float], float]] = ('logit_scale', lambda x: exp(-x))


TEXT = 'neck.clip.text_model'
SIGLIP_TEXT = 'neck.siglip'
TEXT_BLOCK = f'{TEXT}.encoder.layers.{{i}}'


def _rules(foreign: str, own: str, *names: str) -> tuple[tuple[str, str], ...]:
    """Rules for names under two stems, by 'name', or 'foreign name = our name'."""
    pairs = (name.split(' = ') for name in names)
    return tuple((foreign + pair[0], own + pair[-1]) for pair in pairs)


def _qkv(stem: str, kind: str) -> Names:
    return (f'{stem}.q_proj.{kind}', f'{stem}.k_proj.{kind}', f'{stem}.v_proj.{kind}')


def _clip_text_rules(block: str, stem: str, projection: str | None = 'projection',
                     own: str = TEXT) -> tuple[tuple, ...]:
    """The text tower as OpenAI's CLIP names it; the release differs in the prefixes."""
    own_block = f'{own}.encoder.layers.{{i}}'
    return (
        *_rules(stem, f'{own}.', 'token_embedding.weight = embeddings.token_embedding.weight',
                'positional_embedding = embeddings.position_embedding.weight'),
        (f'{block}.attn.in_proj_weight', _qkv(f'{own_block}.self_attn', 'weight')),
        (f'{block}.attn.in_proj_bias', _qkv(f'{own_block}.self_attn', 'bias')),
        *_rules(f'{block}.', f'{own_block}.', 'attn.out_proj.{*} = self_attn.out_proj.{*}',
                'ln_1.{*} = layer_norm1.{*}', 'ln_2.{*} = layer_norm2.{*}',
                'mlp.c_fc.{*} = mlp.fc1.{*}', 'mlp.c_proj.{*} = mlp.fc2.{*}'),
        *_rules(stem, f'{own}.', 'ln_final.{*} = final_layer_norm.{*}'),
        *(((f'{stem}{projection}', 'neck.clip.text_projection.weight', 'T'), ) * (
            projection is not None)),
    )


_VIDEO_BLOCK = 'backbone.resblocks.{i}.'


_VIDEO_ENDS = ('conv1.weight', 'ln_post.{*}', 'proj')


def _clip_video_rules(stem: str, *ends: str) -> tuple[tuple, ...]:
    """What the release and OpenAI's CLIP name alike in the visual tower; ``ends`` as well."""
    return (
        *_rules(stem, 'backbone.', 'class_embedding', 'positional_embedding', 'ln_pre.{*}', *ends),
        *_rules(f'{stem}transformer.resblocks.{{i}}.', _VIDEO_BLOCK, 'ln_1.{*}', 'ln_2.{*}',
                'mlp.c_fc.{*}', 'mlp.c_proj.{*}'),
    )


def _openai_video_rules(stem: str, *ends: str) -> tuple[tuple, ...]:
    return (
        *_clip_video_rules(stem, *ends),
        *_rules(f'{stem}transformer.resblocks.{{i}}.attn.', f'{_VIDEO_BLOCK}attn.',
                'in_proj_weight = qkv.weight', 'in_proj_bias = qkv.bias',
                'out_proj.{*} = proj.{*}'),
    )


RELEASE = Layout(
    name='TVTSv2 release',
    marker='video_model.class_embedding',
    rules=(
        *_clip_video_rules('video_model.', *_VIDEO_ENDS),
        *_rules('video_model.', 'backbone.', 'temporal_embedding'),
        *_rules('video_model.transformer.resblocks.{i}.', _VIDEO_BLOCK, 'attn.qkv.{*}',
                'attn.proj.{*}', 'ln_3.{*}', 'timeattn.qkv.{*}', 'timeattn.proj.{*}'),
        *_clip_text_rules('text_model.resblocks.{i}', 'text_'),
        *_rules('pred_model.', 'sorting_head.', 'type_embed'),
        *_rules('pred_model.blocks.{i}.', 'sorting_head.blocks.{i}.', 'norm1.{*}', 'attn.qkv.{*}',
                'attn.proj.{*}', 'norm2.{*}', 'mlp.fc1.{*}', 'mlp.fc2.{*}'),
        *_rules('pred_model.', 'sorting_head.', 'norm.{*}', 'head.{*}'),
    ),
    new=HEADS)

_OPENAI_VIDEO_RULES = _openai_video_rules('visual.', *_VIDEO_ENDS)
# The sizes are tensors in OpenAI's archives; the masks are attributes or buffers in some.
_OPENAI_DROPPED = ('logit_scale', 'logit_bias', 'attn_mask', 'transformer.resblocks.{i}.attn_mask',
                   'visual.transformer.resblocks.{i}.attn_mask', 'input_resolution',
                   'visual.input_resolution', 'context_length', 'vocab_size')

# MMAction2's CLIP4Clip and ActionCLIP have OpenAI's CLIP under `clip.`, and beside it may have a
# transformer over the frames' embeddings. Its positions have these names, one in each of the two.
ADAPTER_POSITIONS = ('adapter.positional_embedding', 'adapter.frame_position_embeddings.weight')
_ADAPTER_BLOCK = 'adapter.transformer.resblocks.{i}.'
_ADAPTER = (*ADAPTER_POSITIONS, *(_ADAPTER_BLOCK + name for name in (
    'attn.in_proj_weight', 'attn.in_proj_bias', 'attn.out_proj.{*}', 'ln_1.{*}', 'ln_2.{*}',
    'mlp.c_fc.{*}', 'mlp.c_proj.{*}')))

OPENAI = Layout(
    name='OpenAI CLIP / OpenCLIP',
    marker='visual.class_embedding',
    rules=(*_OPENAI_VIDEO_RULES,
           *_clip_text_rules('transformer.resblocks.{i}', '', 'text_projection')),
    dropped=_OPENAI_DROPPED,
    lost=_ADAPTER,
    antialias=True)

# Told from the one above by its text tower, which is a module of its own.
OPENCLIP_CUSTOM_TEXT = Layout(
    name='OpenCLIP with custom text',
    marker='text.positional_embedding',
    rules=(*_OPENAI_VIDEO_RULES,
           *_clip_text_rules('text.transformer.resblocks.{i}', 'text.', 'text_projection')),
    dropped=(*_OPENAI_DROPPED, 'text.attn_mask'),
    antialias=True)

# What a SigLIP has learnt beside its towers; the scale of a CLIP is that of another loss.
SIGMOID_RULES = (('logit_scale', 'contrastive_head.logit_scale', 'number'),
                 ('logit_bias', 'contrastive_head.logit_bias', 'number'))

_HF_BLOCK = 'vision_model.encoder.layers.{i}'
_HF_VIDEO_RULES = (
    *_rules('vision_model.', 'backbone.', 'embeddings.patch_embedding.{*} = conv1.{*}',
            'embeddings.position_embedding.weight = positional_embedding',
            'post_layernorm.{*} = ln_post.{*}'),
    (_qkv(f'{_HF_BLOCK}.self_attn', 'weight'), f'{_VIDEO_BLOCK}attn.qkv.weight'),
    (_qkv(f'{_HF_BLOCK}.self_attn', 'bias'), f'{_VIDEO_BLOCK}attn.qkv.bias'),
    *_rules(f'{_HF_BLOCK}.', _VIDEO_BLOCK, 'self_attn.out_proj.{*} = attn.proj.{*}',
            'layer_norm1.{*} = ln_1.{*}', 'layer_norm2.{*} = ln_2.{*}',
            'mlp.fc1.{*} = mlp.c_fc.{*}', 'mlp.fc2.{*} = mlp.c_proj.{*}'),
)
_HF_TEXT = ('embeddings.token_embedding.weight', 'embeddings.position_embedding.weight',
            'final_layer_norm.{*}', *(f'encoder.layers.{{i}}.{name}.{{*}}' for name in (
                'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.out_proj',
                'layer_norm1', 'layer_norm2', 'mlp.fc1', 'mlp.fc2')))
_HF_DROPPED = ('vision_model.embeddings.position_ids', 'text_model.embeddings.position_ids')
HUGGING_FACE = Layout(
    name='Hugging Face CLIP',
    marker='vision_model.embeddings.class_embedding',
    rules=(
        *_rules('vision_model.', 'backbone.', 'embeddings.class_embedding = class_embedding',
                'pre_layrnorm.{*} = ln_pre.{*}'),
        *_HF_VIDEO_RULES,
        ('visual_projection.weight', 'backbone.proj', 'T'),
        *_rules('text_model.', f'{TEXT}.', *_HF_TEXT),
        ('text_projection.weight', 'neck.clip.text_projection.weight'),
    ),
    dropped=('logit_scale', 'logit_bias', *_HF_DROPPED),
    antialias=False)

# SigLIP and SigLIP 2 of fixed resolution: no class token, a query that reads the patches.
SIGLIP = Layout(
    name='Hugging Face SigLIP',
    marker='vision_model.head.probe',
    rules=(
        *_HF_VIDEO_RULES,
        *_rules('vision_model.head.', 'backbone.pooling.', 'probe',
                'attention.in_proj_weight = attn.qkv.weight',
                'attention.in_proj_bias = attn.qkv.bias', 'attention.out_proj.{*} = attn.proj.{*}',
                'layernorm.{*} = ln.{*}', 'mlp.fc1.{*} = mlp.c_fc.{*}',
                'mlp.fc2.{*} = mlp.c_proj.{*}'),
        *_rules('text_model.', f'{SIGLIP_TEXT}.', *_HF_TEXT, 'head.{*}'),
        *SIGMOID_RULES,
    ),
    dropped=_HF_DROPPED,
    antialias=False)

# PE-core (facebookresearch/perception_models): OpenAI's names, and a query that reads the tokens.
PE_CORE = Layout(
    name='PE-core',
    marker='visual.attn_pool.probe',
    rules=(
        *_OPENAI_VIDEO_RULES,
        *_rules('visual.attn_pool.', 'backbone.pooling.', 'probe',
                'attn.in_proj_weight = attn.qkv.weight', 'attn.in_proj_bias = attn.qkv.bias',
                'attn.out_proj.{*} = attn.proj.{*}', 'layernorm.{*} = ln.{*}', 'mlp.c_fc.{*}',
                'mlp.c_proj.{*}'),
        *_clip_text_rules('transformer.resblocks.{i}', '', 'text_projection'),
    ),
    dropped=_OPENAI_DROPPED,
    antialias=True)

# The same two in OpenCLIP, whose image encoders are timm's.
_TRUNK = 'visual.trunk.'
_TIMM_RULES = (
    *_rules(_TRUNK, 'backbone.', 'patch_embed.proj.{*} = conv1.{*}', 'norm_pre.{*} = ln_pre.{*}',
            'norm.{*} = ln_post.{*}'),
    (f'{_TRUNK}cls_token', 'backbone.class_embedding', 'row'),
    (f'{_TRUNK}pos_embed', 'backbone.positional_embedding', 'rows'),
    *_rules(f'{_TRUNK}blocks.{{i}}.', _VIDEO_BLOCK, 'norm1.{*} = ln_1.{*}', 'norm2.{*} = ln_2.{*}',
            'attn.qkv.{*}', 'attn.proj.{*}', 'mlp.fc1.{*} = mlp.c_fc.{*}',
            'mlp.fc2.{*} = mlp.c_proj.{*}'),
    *_rules(f'{_TRUNK}attn_pool.', 'backbone.pooling.', 'latent = probe',
            'proj.{*} = attn.proj.{*}', 'norm.{*} = ln.{*}', 'mlp.fc1.{*} = mlp.c_fc.{*}',
            'mlp.fc2.{*} = mlp.c_proj.{*}'),
    *(((f'{_TRUNK}attn_pool.q.{kind}', f'{_TRUNK}attn_pool.kv.{kind}'),
       f'backbone.pooling.attn.qkv.{kind}') for kind in ('weight', 'bias')),
)
OPENCLIP_SIGLIP = Layout(
    name='OpenCLIP SigLIP',
    marker='text.text_projection.bias',
    rules=(
        *_TIMM_RULES,
        *_clip_text_rules('text.transformer.resblocks.{i}', 'text.', None, SIGLIP_TEXT),
        *_rules('text.text_projection.', f'{SIGLIP_TEXT}.head.', '{*}'),
        *SIGMOID_RULES,
    ),
    dropped=('text.attn_mask', ),
    antialias=True)
OPENCLIP_PE_CORE = Layout(
    name='OpenCLIP PE-core',
    marker=f'{_TRUNK}attn_pool.latent',
    rules=(
        *_TIMM_RULES,
        (f'{_TRUNK}head.weight', 'backbone.proj', 'T'),
        *_clip_text_rules('text.transformer.resblocks.{i}', 'text.', 'text_projection'),
    ),
    dropped=('logit_scale', 'text.attn_mask'),
    zero=(f'{_TRUNK}head.bias', ),
    antialias=True)

# InternVideo-MM (OpenGVLab/InternVideo, InternVideo1): a CLIP with a side branch. Its visual tower
# is UniFormerV2's, without CLIP's own ln_post and proj. What masks words is for its training.
_DECODER = 'dec.{i}.'
INTERNVIDEO = Layout(
    name='InternVideo-MM',
    marker='visual.transformer.temporal_cls_token',
    rules=(
        ('visual.conv1.weight', 'backbone.conv1.weight', 'frames'),
        *_openai_video_rules('visual.'),
        *_rules('visual', 'backbone.', '_ln_post.{*} = ln_post.{*}', '_proj = proj'),
        *_rules('visual.transformer.', 'backbone.', 'temporal_cls_token', 'balance', 'dpe.{i}.{*}'),
        *_rules(f'visual.transformer.{_DECODER}', f'backbone.{_DECODER}', 'ln_1.{*}', 'ln_2.{*}',
                'ln_3.{*}', 'attn.in_proj_weight = attn.qkv.weight',
                'attn.in_proj_bias = attn.qkv.bias', 'attn.out_proj.{*} = attn.proj.{*}',
                'mlp.c_fc.{*}', 'mlp.c_proj.{*}'),
        *_clip_text_rules('transformer.resblocks.{i}', '', 'text_projection'),
    ),
    dropped=('logit_scale', 'text_mask_embedding'),
    new=HEADS)

# ViCLIP (OpenGVLab/InternVideo, InternVid): a CLIP whose attention goes over the whole clip, with
# positions in time.
VICLIP = Layout(
    name='ViCLIP',
    marker='vision_encoder.temporal_positional_embedding',
    rules=(
        ('vision_encoder.conv1.weight', 'backbone.conv1.weight', 'frames'),
        ('vision_encoder.temporal_positional_embedding', 'backbone.temporal_embedding', 'rows'),
        *_openai_video_rules('vision_encoder.', 'ln_post.{*}', 'proj'),
        *_clip_text_rules('text_encoder.transformer.resblocks.{i}', 'text_encoder.',
                          'text_projection'),
    ),
    dropped=('temp', ),
    new=HEADS,
    temperature=('temp', lambda x: x))

# ImageBind (facebookresearch/ImageBind): vision and text of its six modalities. Its text head has
# the norm behind the choice of the end token, which is the norm of all tokens before it.
_BOUND = ('norm_1.{*} = ln_1.{*}', 'norm_2.{*} = ln_2.{*}', 'mlp.fc1.{*} = mlp.c_fc.{*}',
          'mlp.fc2.{*} = mlp.c_proj.{*}', 'attn.in_proj_weight = attn.qkv.weight',
          'attn.in_proj_bias = attn.qkv.bias', 'attn.out_proj.{*} = attn.proj.{*}')
_BOUND_TEXT = 'modality_trunks.text.blocks.{i}.'
IMAGEBIND = Layout(
    name='ImageBind',
    marker='modality_preprocessors.vision.cls_token',
    rules=(
        ('modality_preprocessors.vision.cls_token', 'backbone.class_embedding', 'row'),
        ('modality_preprocessors.vision.rgbt_stem.proj.1.weight', 'backbone.conv1.weight',
         'frames'),
        ('modality_preprocessors.vision.pos_embedding_helper.pos_embed',
         'backbone.positional_embedding', 'rows'),
        *_rules('modality_trunks.vision.', 'backbone.', 'pre_transformer_layer.0.{*} = ln_pre.{*}'),
        *_rules('modality_trunks.vision.blocks.{i}.', _VIDEO_BLOCK, *_BOUND),
        *_rules('modality_heads.vision.', 'backbone.', '0.{*} = ln_post.{*}'),
        ('modality_heads.vision.2.weight', 'backbone.proj', 'T'),
        *_rules('modality_preprocessors.text.', f'{TEXT}.embeddings.', 'token_embedding.weight'),
        ('modality_preprocessors.text.pos_embed', f'{TEXT}.embeddings.position_embedding.weight',
         'rows'),
        (f'{_BOUND_TEXT}attn.in_proj_weight', _qkv(f'{TEXT_BLOCK}.self_attn', 'weight')),
        (f'{_BOUND_TEXT}attn.in_proj_bias', _qkv(f'{TEXT_BLOCK}.self_attn', 'bias')),
        *_rules(_BOUND_TEXT, f'{TEXT_BLOCK}.', 'attn.out_proj.{*} = self_attn.out_proj.{*}',
                'norm_1.{*} = layer_norm1.{*}', 'norm_2.{*} = layer_norm2.{*}', 'mlp.fc1.{*}',
                'mlp.fc2.{*}'),
        *_rules('modality_heads.text.proj.', f'{TEXT}.', '0.{*} = final_layer_norm.{*}'),
        ('modality_heads.text.proj.1.weight', 'neck.clip.text_projection.weight'),
    ),
    dropped=('modality_preprocessors.text.mask', 'modality_postprocessors.text.1.log_logit_scale'),
    unneeded=tuple(f'modality_{part}.{modality}.'
                   for modality in ('audio', 'depth', 'thermal', 'imu')
                   for part in ('preprocessors', 'trunks', 'heads', 'postprocessors')),
    new=HEADS,
    antialias=False,
    # Its scale is never above 100.
    temperature=('modality_postprocessors.text.1.log_logit_scale',
                 lambda x: max(exp(-x), 0.01)))

# Ours: the names as they are. A checkpoint of FramewiseViT has no time; see `new`.
OWN = Layout(name='tvtsv2_mm', marker='backbone.positional_embedding', rules=())

# In the order of looking for their markers.
LAYOUTS = (OWN, RELEASE, INTERNVIDEO, VICLIP, IMAGEBIND, PE_CORE, OPENCLIP_SIGLIP,
           OPENCLIP_PE_CORE, OPENCLIP_CUSTOM_TEXT, OPENAI, SIGLIP, HUGGING_FACE)
