"""Name rules between the checkpoint layouts of others and ours: tables, no code per layout.

A rule is (foreign name, our name). ``{i}`` stands for a block's number and ``{*}`` for 'weight' or
'bias'; a tuple of three names on one side is the q, k, v of what the other side holds in one
tensor, stacked in the first dimension; ``T`` behind a rule transposes.
"""

from dataclasses import dataclass

Names = str | tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One checkpoint layout.

    Attributes:
        name: as errors and logs call it.
        marker: a key that every checkpoint of this layout has, and none of the layouts behind it
            in ``LAYOUTS``.
        rules: (foreign, ours) or (foreign, ours, 'T').
        dropped: foreign keys (patterns) that mean nothing here.
        new: prefixes of our keys that such a checkpoint does not have; they keep their initial
            values.
        antialias: how the library of this layout resizes the positions of patches; see
            :func:`.positions.resize_spatial`.
    """

    name: str
    marker: str
    rules: tuple[tuple, ...]
    dropped: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    antialias: bool | None = None


TEXT = 'neck.clip.text_model'
TEXT_BLOCK = f'{TEXT}.encoder.layers.{{i}}'
# What TVTSv2 adds to a CLIP.
TIME = ('backbone.temporal_embedding', 'backbone.resblocks.{i}.ln_3.',
        'backbone.resblocks.{i}.timeattn.')
HEADS = ('sorting_head.', 'cls_head.')


def _qkv(stem: str, kind: str) -> tuple[str, str, str]:
    return tuple(f'{stem}.{name}_proj.{kind}' for name in 'qkv')


def _clip_text_rules(block: str, token: str, position: str, norm: str,
                     projection: str) -> tuple[tuple, ...]:
    """The text tower as OpenAI's CLIP names it; the release differs in the prefixes."""
    return (
        (f'{token}.weight', f'{TEXT}.embeddings.token_embedding.weight'),
        (position, f'{TEXT}.embeddings.position_embedding.weight'),
        (f'{block}.attn.in_proj_weight', _qkv(f'{TEXT_BLOCK}.self_attn', 'weight')),
        (f'{block}.attn.in_proj_bias', _qkv(f'{TEXT_BLOCK}.self_attn', 'bias')),
        (f'{block}.attn.out_proj.{{*}}', f'{TEXT_BLOCK}.self_attn.out_proj.{{*}}'),
        (f'{block}.ln_1.{{*}}', f'{TEXT_BLOCK}.layer_norm1.{{*}}'),
        (f'{block}.ln_2.{{*}}', f'{TEXT_BLOCK}.layer_norm2.{{*}}'),
        (f'{block}.mlp.c_fc.{{*}}', f'{TEXT_BLOCK}.mlp.fc1.{{*}}'),
        (f'{block}.mlp.c_proj.{{*}}', f'{TEXT_BLOCK}.mlp.fc2.{{*}}'),
        (f'{norm}.{{*}}', f'{TEXT}.final_layer_norm.{{*}}'),
        (projection, 'neck.clip.text_projection.weight', 'T'),
    )


def _clip_video_rules(stem: str) -> tuple[tuple, ...]:
    """What the release and OpenAI's CLIP name alike in the visual tower."""
    block = f'{stem}.transformer.resblocks.{{i}}'
    own = 'backbone.resblocks.{i}'
    return (
        *((f'{stem}.{name}', f'backbone.{name}') for name in (
            'class_embedding', 'positional_embedding', 'proj', 'conv1.weight', 'ln_pre.{*}',
            'ln_post.{*}')),
        *((f'{block}.{name}.{{*}}', f'{own}.{name}.{{*}}') for name in (
            'ln_1', 'ln_2', 'mlp.c_fc', 'mlp.c_proj')),
    )


RELEASE = Layout(
    name='TVTSv2 release',
    marker='video_model.class_embedding',
    rules=(
        *_clip_video_rules('video_model'),
        ('video_model.temporal_embedding', 'backbone.temporal_embedding'),
        *((f'video_model.transformer.resblocks.{{i}}.{name}.{{*}}',
           f'backbone.resblocks.{{i}}.{name}.{{*}}') for name in (
               'attn.qkv', 'attn.proj', 'ln_3', 'timeattn.qkv', 'timeattn.proj')),
        *_clip_text_rules('text_model.resblocks.{i}', 'text_token_embedding',
                          'text_positional_embedding', 'text_ln_final', 'text_projection'),
        ('pred_model.type_embed', 'sorting_head.type_embed'),
        *((f'pred_model.blocks.{{i}}.{name}.{{*}}', f'sorting_head.blocks.{{i}}.{name}.{{*}}')
          for name in ('norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2')),
        ('pred_model.norm.{*}', 'sorting_head.norm.{*}'),
        ('pred_model.head.{*}', 'sorting_head.head.{*}'),
    ),
    new=HEADS)

_OPENAI_VIDEO_RULES = (
    *_clip_video_rules('visual'),
    ('visual.transformer.resblocks.{i}.attn.in_proj_weight',
     'backbone.resblocks.{i}.attn.qkv.weight'),
    ('visual.transformer.resblocks.{i}.attn.in_proj_bias',
     'backbone.resblocks.{i}.attn.qkv.bias'),
    ('visual.transformer.resblocks.{i}.attn.out_proj.{*}',
     'backbone.resblocks.{i}.attn.proj.{*}'),
)
# The sizes are tensors in OpenAI's archives; the masks are attributes or buffers in some.
_OPENAI_DROPPED = ('logit_scale', 'logit_bias', 'attn_mask', 'transformer.resblocks.{i}.attn_mask',
                   'visual.transformer.resblocks.{i}.attn_mask', 'input_resolution',
                   'visual.input_resolution', 'context_length', 'vocab_size')

OPENAI = Layout(
    name='OpenAI CLIP / OpenCLIP',
    marker='visual.class_embedding',
    rules=(
        *_OPENAI_VIDEO_RULES,
        *_clip_text_rules('transformer.resblocks.{i}', 'token_embedding', 'positional_embedding',
                          'ln_final', 'text_projection'),
    ),
    dropped=_OPENAI_DROPPED,
    new=(*TIME, *HEADS),
    antialias=True)

# Told from the one above by its text tower, which is a module of its own.
OPENCLIP_CUSTOM_TEXT = Layout(
    name='OpenCLIP with custom text',
    marker='text.token_embedding.weight',
    rules=(
        *_OPENAI_VIDEO_RULES,
        *_clip_text_rules('text.transformer.resblocks.{i}', 'text.token_embedding',
                          'text.positional_embedding', 'text.ln_final', 'text.text_projection'),
    ),
    dropped=(*_OPENAI_DROPPED, 'text.attn_mask'),
    new=(*TIME, *HEADS),
    antialias=True)

_HF_BLOCK = 'vision_model.encoder.layers.{i}'
HUGGING_FACE = Layout(
    name='Hugging Face CLIP',
    marker='vision_model.embeddings.class_embedding',
    rules=(
        ('vision_model.embeddings.class_embedding', 'backbone.class_embedding'),
        ('vision_model.embeddings.patch_embedding.weight', 'backbone.conv1.weight'),
        ('vision_model.embeddings.position_embedding.weight', 'backbone.positional_embedding'),
        ('vision_model.pre_layrnorm.{*}', 'backbone.ln_pre.{*}'),
        ('vision_model.post_layernorm.{*}', 'backbone.ln_post.{*}'),
        ('visual_projection.weight', 'backbone.proj', 'T'),
        (_qkv(f'{_HF_BLOCK}.self_attn', 'weight'), 'backbone.resblocks.{i}.attn.qkv.weight'),
        (_qkv(f'{_HF_BLOCK}.self_attn', 'bias'), 'backbone.resblocks.{i}.attn.qkv.bias'),
        (f'{_HF_BLOCK}.self_attn.out_proj.{{*}}', 'backbone.resblocks.{i}.attn.proj.{*}'),
        (f'{_HF_BLOCK}.layer_norm1.{{*}}', 'backbone.resblocks.{i}.ln_1.{*}'),
        (f'{_HF_BLOCK}.layer_norm2.{{*}}', 'backbone.resblocks.{i}.ln_2.{*}'),
        (f'{_HF_BLOCK}.mlp.fc1.{{*}}', 'backbone.resblocks.{i}.mlp.c_fc.{*}'),
        (f'{_HF_BLOCK}.mlp.fc2.{{*}}', 'backbone.resblocks.{i}.mlp.c_proj.{*}'),
        *((f'text_model.{name}.{{*}}', f'{TEXT}.{name}.{{*}}') for name in (
            'embeddings.token_embedding', 'embeddings.position_embedding', 'final_layer_norm')),
        *((f'text_model.encoder.layers.{{i}}.{name}.{{*}}', f'{TEXT_BLOCK}.{name}.{{*}}')
          for name in ('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj',
                       'self_attn.out_proj', 'layer_norm1', 'layer_norm2', 'mlp.fc1', 'mlp.fc2')),
        ('text_projection.weight', 'neck.clip.text_projection.weight'),
    ),
    dropped=('logit_scale', 'logit_bias', 'vision_model.embeddings.position_ids',
             'text_model.embeddings.position_ids'),
    new=(*TIME, *HEADS),
    antialias=False)

# Ours: the names as they are. A checkpoint of FramewiseViT has no time; see `new`.
OWN = Layout(name='tvtsv2_mm', marker='backbone.class_embedding', rules=(), new=(*TIME, *HEADS))

# In the order of looking for their markers.
LAYOUTS = (OWN, RELEASE, OPENCLIP_CUSTOM_TEXT, OPENAI, HUGGING_FACE)
