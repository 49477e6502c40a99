"""Name rules between the checkpoint layouts of others and ours: tables, no code per layout.

A rule is (foreign name, our name). ``{i}`` stands for a block's number and ``{*}`` for 'weight' or
'bias'; a tuple of three names on one side is the q, k, v of what the other side holds in one
tensor, stacked in the first dimension; ``T`` behind a rule transposes, ``1`` gives a single number
one dimension.
"""

from dataclasses import dataclass

Names = str | tuple[str, str, str]
# What TVTSv2 adds to a CLIP.
TIME = ('backbone.temporal_embedding', 'backbone.resblocks.{i}.ln_3.',
        'backbone.resblocks.{i}.timeattn.')
HEADS = ('contrastive_head.', 'sorting_head.', 'cls_head.')


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One checkpoint layout."""

    name: str  # as errors and logs call it
    marker: str  # a key that every such checkpoint has, and none of the layouts behind in LAYOUTS
    rules: tuple[tuple, ...]  # (foreign, ours), (foreign, ours, 'T') or (foreign, ours, '1')
    dropped: tuple[str, ...] = ()  # foreign keys (patterns) that mean nothing here
    lost: tuple[str, ...] = ()  # that change the embeddings, and have no place here
    new: tuple[str, ...] = (*TIME, *HEADS)  # prefixes of our keys that it lacks: kept as they are
    antialias: bool | None = None  # how its library resizes positions; see resize_spatial


TEXT = 'neck.clip.text_model'
TEXT_BLOCK = f'{TEXT}.encoder.layers.{{i}}'


def _rules(foreign: str, own: str, *names: str) -> tuple[tuple[str, str], ...]:
    """Rules for names under two stems, by 'name', or 'foreign name = our name'."""
    pairs = (name.split(' = ') for name in names)
    return tuple((foreign + pair[0], own + pair[-1]) for pair in pairs)


def _qkv(stem: str, kind: str) -> Names:
    return (f'{stem}.q_proj.{kind}', f'{stem}.k_proj.{kind}', f'{stem}.v_proj.{kind}')


def _clip_text_rules(block: str, stem: str, projection: str = 'projection') -> tuple[tuple, ...]:
    """The text tower as OpenAI's CLIP names it; the release differs in the prefixes."""
    return (
        *_rules(stem, f'{TEXT}.', 'token_embedding.weight = embeddings.token_embedding.weight',
                'positional_embedding = embeddings.position_embedding.weight'),
        (f'{block}.attn.in_proj_weight', _qkv(f'{TEXT_BLOCK}.self_attn', 'weight')),
        (f'{block}.attn.in_proj_bias', _qkv(f'{TEXT_BLOCK}.self_attn', 'bias')),
        *_rules(f'{block}.', f'{TEXT_BLOCK}.', 'attn.out_proj.{*} = self_attn.out_proj.{*}',
                'ln_1.{*} = layer_norm1.{*}', 'ln_2.{*} = layer_norm2.{*}',
                'mlp.c_fc.{*} = mlp.fc1.{*}', 'mlp.c_proj.{*} = mlp.fc2.{*}'),
        *_rules(stem, f'{TEXT}.', 'ln_final.{*} = final_layer_norm.{*}'),
        (f'{stem}{projection}', 'neck.clip.text_projection.weight', 'T'),
    )


_VIDEO_BLOCK = 'backbone.resblocks.{i}.'


def _clip_video_rules(stem: str) -> tuple[tuple, ...]:
    """What the release and OpenAI's CLIP name alike in the visual tower."""
    return (
        *_rules(stem, 'backbone.', 'class_embedding', 'positional_embedding', 'proj',
                'conv1.weight', 'ln_pre.{*}', 'ln_post.{*}'),
        *_rules(f'{stem}transformer.resblocks.{{i}}.', _VIDEO_BLOCK, 'ln_1.{*}', 'ln_2.{*}',
                'mlp.c_fc.{*}', 'mlp.c_proj.{*}'),
    )


RELEASE = Layout(
    name='TVTSv2 release',
    marker='video_model.class_embedding',
    rules=(
        *_clip_video_rules('video_model.'),
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

_OPENAI_VIDEO_RULES = (
    *_clip_video_rules('visual.'),
    *_rules('visual.transformer.resblocks.{i}.attn.', f'{_VIDEO_BLOCK}attn.',
            'in_proj_weight = qkv.weight', 'in_proj_bias = qkv.bias', 'out_proj.{*} = proj.{*}'),
)
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
    marker='text.token_embedding.weight',
    rules=(*_OPENAI_VIDEO_RULES,
           *_clip_text_rules('text.transformer.resblocks.{i}', 'text.', 'text_projection')),
    dropped=(*_OPENAI_DROPPED, 'text.attn_mask'),
    antialias=True)

# What a SigLIP has learnt beside its towers; the scale of a CLIP is that of another loss.
SIGMOID_RULES = (('logit_scale', 'contrastive_head.logit_scale', '1'),
                 ('logit_bias', 'contrastive_head.logit_bias', '1'))

_HF_BLOCK = 'vision_model.encoder.layers.{i}'
HUGGING_FACE = Layout(
    name='Hugging Face CLIP',
    marker='vision_model.embeddings.class_embedding',
    rules=(
        *_rules('vision_model.', 'backbone.', 'embeddings.class_embedding = class_embedding',
                'embeddings.patch_embedding.weight = conv1.weight',
                'embeddings.position_embedding.weight = positional_embedding',
                'pre_layrnorm.{*} = ln_pre.{*}', 'post_layernorm.{*} = ln_post.{*}'),
        ('visual_projection.weight', 'backbone.proj', 'T'),
        (_qkv(f'{_HF_BLOCK}.self_attn', 'weight'), f'{_VIDEO_BLOCK}attn.qkv.weight'),
        (_qkv(f'{_HF_BLOCK}.self_attn', 'bias'), f'{_VIDEO_BLOCK}attn.qkv.bias'),
        *_rules(f'{_HF_BLOCK}.', _VIDEO_BLOCK, 'self_attn.out_proj.{*} = attn.proj.{*}',
                'layer_norm1.{*} = ln_1.{*}', 'layer_norm2.{*} = ln_2.{*}',
                'mlp.fc1.{*} = mlp.c_fc.{*}', 'mlp.fc2.{*} = mlp.c_proj.{*}'),
        *_rules('text_model.', f'{TEXT}.', 'embeddings.token_embedding.{*}',
                'embeddings.position_embedding.{*}', 'final_layer_norm.{*}'),
        *_rules('text_model.encoder.layers.{i}.', f'{TEXT_BLOCK}.', 'self_attn.q_proj.{*}',
                'self_attn.k_proj.{*}', 'self_attn.v_proj.{*}', 'self_attn.out_proj.{*}',
                'layer_norm1.{*}', 'layer_norm2.{*}', 'mlp.fc1.{*}', 'mlp.fc2.{*}'),
        ('text_projection.weight', 'neck.clip.text_projection.weight'),
    ),
    dropped=('logit_scale', 'logit_bias', 'vision_model.embeddings.position_ids',
             'text_model.embeddings.position_ids'),
    antialias=False)

# Ours: the names as they are. A checkpoint of FramewiseViT has no time; see `new`.
OWN = Layout(name='tvtsv2_mm', marker='backbone.positional_embedding', rules=())

# In the order of looking for their markers.
LAYOUTS = (OWN, RELEASE, OPENCLIP_CUSTOM_TEXT, OPENAI, HUGGING_FACE)
