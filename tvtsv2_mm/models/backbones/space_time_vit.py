"""The video encoder: CLIP's ViT with divided space-time attention (TVTSv2 section 3)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tvtsv2_mm.choices import ATTENTIONS
from tvtsv2_mm.models.layers import SpaceTimeBlock, TokenRows
from tvtsv2_mm.models.lora import adapt
from tvtsv2_mm.models.pretrained_part import PretrainedPart
from tvtsv2_mm.registry import MODELS


@MODELS.register_module()
class SpaceTimeViT(PretrainedPart):
    """CLIP ViT that reads a whole clip with one class token: a :class:`.VideoBackbone`.

    Other image encoders are this one with other arguments, and one frame is to it what a picture is
    to them: SigLIP (no class token, no ``ln_pre``, no projection, attention pooling) and PE-core
    (rotary positions, attention pooling).

    Shapes: B clips, T frames, P patches of a frame, P' kept patches, p pixels of a patch's side,
    R token rows (see TokenRows), D width, E embedding width. Parameters carry the names of the
    released checkpoints.

    Args:
        image_size: height and width of a frame in pixels.
        patch_size: side of a patch in pixels; must divide ``image_size``.
        width: token width D.
        layers: number of blocks.
        heads: attention heads.
        embed_dim: width E of the joint embedding space; None for D, without a projection (SigLIP).
        num_frames: longest clip; rows of the temporal position table (12 in the release). A
            shorter clip uses the first T rows.
        activation: 'quick_gelu' (OpenAI-type), 'gelu' (OpenCLIP-type) or 'gelu_pytorch_tanh'.
        mlp_width: of the blocks' hidden layer; None for 4 * D.
        norm_eps: what is added to the variance in the layer norms.
        class_token: False for none (SigLIP). Patches then attend to their own group alone, over
            time and over space, and frames meet in time attention and in the pooling.
        pre_norm: whether a norm, ``ln_pre``, stands before the blocks; not so in SigLIP.
        patch_bias: whether the projection of patches has a bias, as in SigLIP.
        pooling: how the tokens become the clip's embedding: 'ClassTokenPooling', or
            'AttentionPooling' (SigLIP, PE-core), which reads the tokens of all frames behind
            ``ln_post``; the name of a registered module.
        pooling_heads: heads of the attention of ``pooling``; None for ``heads``. PE-core has 8.
        rotary: positions that the attention over space takes beside the table:
            'RotaryPositions2D' (PE-core); the name of a registered module.
        token_output: what the sorting head gets. 'all_normed': proj(ln_post(x)) of all tokens,
            the class token included (OpenAI-type). 'patches_raw': proj(x) of the patch tokens,
            without ln_post (OpenCLIP-type). Without a projection, ln_post(x) and x. That is the
            space of the embeddings where these are class tokens; AttentionPooling has its own
            layers between, and the sorting head gets what it reads.
        time_attention: False leaves out everything that is new in time (see FramewiseViT).
        attention: 'divided' over time and space; or 'joint', all tokens of a clip at once (ViCLIP),
            in CLIP's own blocks. Then a clip shorter than ``num_frames`` is taken to show the same
            time: a frame has the mean of the positions of its share of it, a single one that of
            all, as in ViCLIP, which knows these two lengths.
        time_init: how time attention starts with the output 0. 'qkv' is the release's way, whose
            gradient is almost 0 too: the output weights are all equal, and the layer norm behind
            them takes out what is equal in all channels (measured in float32: 1e-7 of space
            attention's). 'proj' starts with a full gradient.
        temporal_std: standard deviation of the temporal position table at the start; None for the
            release's, ``width ** -0.5``. A narrow model whose patches outweigh that learns what
            came when far sooner with more.
        checkpointing: keep only the input of each block for the backward and compute the block
            again there: a third more work for the least memory.
        drop_path_rate: stochastic depth in training: the share of the clips for which the last
            block is left out, its attentions and its MLP each for themselves; those of the blocks
            before rise to it from 0 in equal steps. The branches of the rest are scaled up for it.
        output: None returns what VideoTextModel takes. For a recognizer of MMAction2, clips come as
            (B, 3, T, H, W) then: 'embedding' returns the clips' embeddings (B, E) for a head that
            takes vectors (TimeSformerHead), 'map' the projected patches (B, E, T, H / p, W / p)
            for one that pools (I3DHead, AttentiveHead).
        frozen: True takes all parameters out of training (linear probe).
        lora: adapters that are trained in the place of all weights: ``dict(rank=8)``, see
            :func:`~tvtsv2_mm.models.lora.add_lora`.
        init_cfg: mmengine's initialisation config; 'Pretrained' as in PretrainedPart.
    """

    part = 'backbone'
    block_list = 'resblocks'
    behind_blocks = ('ln_post', 'pooling', 'proj')
    token_frames = None  # those of the clip
    pixels = None  # the config's, of which the release and CLIP have others

    def __init__(self,
                 *,
                 image_size: int = 224,
                 patch_size: int = 16,
                 width: int = 768,
                 layers: int = 12,
                 heads: int = 12,
                 embed_dim: int | None = 512,
                 num_frames: int = 12,
                 activation: str = 'quick_gelu',
                 mlp_width: int | None = None,
                 norm_eps: float = 1e-5,
                 class_token: bool = True,
                 pre_norm: bool = True,
                 patch_bias: bool = False,
                 pooling: str = 'ClassTokenPooling',
                 pooling_heads: int | None = None,
                 rotary: str | None = None,
                 token_output: str = 'all_normed',
                 time_attention: bool = True,
                 attention: str = 'divided',
                 time_init: str = 'qkv',
                 temporal_std: float | None = None,
                 checkpointing: bool = False,
                 drop_path_rate: float = 0.0,
                 output: str | None = None,
                 frozen: bool = False,
                 lora: dict | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        if image_size % patch_size:
            raise ValueError(
                f'image_size ({image_size}) must be a multiple of patch_size ({patch_size})')
        if token_output not in ('all_normed', 'patches_raw'):
            raise ValueError(
                f"token_output must be 'all_normed' or 'patches_raw', not {token_output!r}")
        if attention not in ATTENTIONS:
            raise ValueError(f'attention must be one of {", ".join(ATTENTIONS)}, '
                             f'not {attention!r}')
        if output not in (None, 'embedding', 'map'):
            raise ValueError(f"output must be None, 'embedding' or 'map', not {output!r}")
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f'drop_path_rate must be in [0, 1), not {drop_path_rate}')
        if layers < 1:
            raise ValueError(f'layers must be at least 1, not {layers}')
        mlp_width = mlp_width or 4 * width
        self.embed_dim = embed_dim or width
        # Loaded weights must be of a model of these.
        self.built_with = dict(
            image_size=image_size, patch_size=patch_size, width=width, layers=layers, heads=heads,
            mlp_width=mlp_width, embed_dim=self.embed_dim, activation=activation,
            norm_eps=norm_eps, class_token=class_token, pre_norm=pre_norm, patch_bias=patch_bias,
            pooling=pooling, rotary=rotary,
            **dict(pooling_heads=pooling_heads or heads) if pooling != 'ClassTokenPooling' else {},
            **dict(token_output=token_output, attention=attention) if time_attention else {})
        self.image_size = image_size
        self.patch_size = patch_size
        self.num_frames = num_frames
        self.token_output = token_output
        self.checkpointing = checkpointing
        self.drop_path_rate = drop_path_rate
        self.output = output
        self.grid = image_size // patch_size

        scale = width**-0.5
        self.class_tokens = int(class_token)
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=patch_bias)
        if class_token:
            self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(
            scale * torch.randn(self.class_tokens + self.grid**2, width))
        if time_attention:
            temporal_scale = scale if temporal_std is None else temporal_std
            self.temporal_embedding = nn.Parameter(temporal_scale * torch.randn(num_frames, width))
        self.time_attention = time_attention
        self.attention = attention
        self.rotary = None if rotary is None else _build_part(
            'rotary', rotary, grid=self.grid, head_width=width // heads)
        self.ln_pre = nn.LayerNorm(width, norm_eps) if pre_norm else nn.Identity()
        self.resblocks = nn.ModuleList(
            SpaceTimeBlock(
                width=width, heads=heads, activation=activation, mlp_width=mlp_width,
                norm_eps=norm_eps, time_attention=time_attention and attention == 'divided',
                over='clip' if attention == 'joint' else 'space', time_init=time_init)
            for _ in range(layers))
        self.ln_post = nn.LayerNorm(width, norm_eps)
        self.pooling = _build_part(
            'pooling', pooling, width=width, heads=pooling_heads or heads, mlp_width=mlp_width,
            activation=activation, norm_eps=norm_eps)
        if self.pooling.picks and not class_token:
            raise ValueError(f"pooling={pooling!r} takes the class token, which a model with "
                             "class_token=False has not: take 'AttentionPooling'")
        self.proj = None if embed_dim is None else nn.Parameter(
            scale * torch.randn(width, embed_dim))
        if output == 'map':  # DDP stops at what is trained and not used
            self.pooling.requires_grad_(False)
            self.ln_post.requires_grad_(token_output != 'patches_raw')
        if frozen:
            self.requires_grad_(False)
        adapt(self, lora)

    def forward(self, video: Tensor | None = None, kept_patches: Tensor | None = None,
                class_only: bool = False, *,
                imgs: Tensor | None = None) -> tuple[Tensor, Tensor | None] | Tensor:
        """Encode clips: as :meth:`encode`, or what ``output`` says.

        A MMRecognizer3D of MMAction2 gives the clips as ``imgs``, those of a masked pipeline as
        (B, 3, T, P' * p, p) with ``kept_patches`` (see RandomTubeMask).

        Raises:
            ValueError: there are no clips; a map is asked of masked ones, or these come without
                ``kept_patches``.
        """
        video = imgs if video is None else video
        if video is None:
            raise ValueError(f'{type(self).__name__} got neither video nor imgs')
        if self.output is None:
            return self.encode(video, kept_patches, class_only)
        if video.ndim != 5 or video.shape[1] != 3:
            raise ValueError(
                f'{type(self).__name__} with output={self.output!r} expects the clips of a '
                f'Recognizer3D, (B, 3, T, H, W) in RGB, got {tuple(video.shape)}: the pipeline '
                "needs FormatShape with input_format='NCTHW', and frames of three channels")
        clips = video.transpose(1, 2)
        if kept_patches is not None:
            if self.output == 'map':
                raise ValueError("backbone.output='map' needs all patches: leave RandomTubeMask "
                                 "out, or take output='embedding'")
            clips = self._patches_of_strips(clips, kept_patches)
        elif clips.shape[4:] == (self.patch_size, ) and self.grid > 1:
            raise ValueError(
                'the clips are patches that RandomTubeMask has cut out, without kept_patches: take '
                "PackActionInputs(collect_keys=('imgs', 'kept_patches')), "
                'MultiModalDataPreprocessor and MMRecognizer3D, as its docstring says')
        embeds, tokens = self.encode(clips, kept_patches, class_only=self.output == 'embedding')
        if tokens is None:
            return embeds
        tokens = self._patches(tokens, clips.shape[1]).unflatten(2, (self.grid, self.grid))
        return tokens.permute(0, 4, 1, 2, 3)

    def _patches_of_strips(self, strips: Tensor, kept_patches: Tensor) -> Tensor:
        """Patches that are one below the other: (B, T, 3, P' * p, p) -> (B, T, P', 3, p, p)."""
        side, kept = self.patch_size, kept_patches.shape[1]
        if tuple(strips.shape[3:]) != (kept * side, side):
            raise ValueError(
                f'backbone.patch_size is {side} and kept_patches has P\' = {kept}, but the patches '
                f'of the clips are {strips.shape[3]} x {strips.shape[4]} pixels in all: set '
                'patch_size of RandomTubeMask to the same value')
        return strips.unflatten(3, (kept, side)).transpose(2, 3)

    def _patches(self, tokens: Tensor, frames: int) -> Tensor:
        """Tokens without class tokens: (B, N, E) -> (B, T, P, E)."""
        return tokens[:, -frames * self.grid**2:].unflatten(1, (frames, -1))

    def encode(self, video: Tensor, kept_patches: Tensor | None = None,
               class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode clips.

        Args:
            video: (B, T, 3, H, W), normalised; or the kept patches of it, (B, T, P', 3, p, p), as
                RandomTubeMask cuts them out.
            kept_patches: (B, P') indices of the patches that every frame of a clip keeps (tube
                mask); None keeps all. The others are dropped before the patch projection.
            class_only: leave the tokens out. What only they need is not computed, which is most of
                the last block where the class token is the embedding.

        Returns:
            The clips' embeddings (B, E), and the tokens for the sorting head (B, N, E) with
            N = C + T * P' ('all_normed', C class tokens: 1 or 0) or T * P' ('patches_raw'), or None
            with ``class_only``. Neither is l2-normalised.

        Raises:
            ValueError: the frames have another size, or there are more of them than rows in the
                temporal position table; patches do not fit their indices.
        """
        patches = self._gather_patches(video, kept_patches)
        clips, frames, kept = patches.shape[:3]
        layout = TokenRows(clips, frames, kept, self.class_tokens)
        turns = self._turns(kept_patches, video.device)
        x = self.ln_pre(self._embed(patches, kept_patches))
        branches = self._draw_branches(x, layout.clips)
        for block, own in zip(self.resblocks[:-1], branches, strict=False):
            x = self._run(block, x, layout, False, own, turns)
        class_rows = class_only and self.pooling.picks and turns is None
        x = self._run(self.resblocks[-1], x, layout, class_rows, branches[-1], turns)
        if class_rows:
            layout = layout._replace(patches=0)
        if class_only or self.token_output == 'patches_raw':
            embeds = self._project(self._pool(x, layout))
            return embeds, None if class_only else self._project(layout.split(x)[0].flatten(1, 2))
        x = self.ln_post(x)
        tokens = self._project(x)
        if self.pooling.picks:
            return self.pooling(tokens, layout), layout.by_clip(tokens)
        return self._project(self.pooling(x, layout)), layout.by_clip(tokens)

    def _pool(self, x: Tensor, layout: TokenRows) -> Tensor:
        """Of what comes out of the blocks: (R, D) -> (B, D)."""
        if self.pooling.picks:  # what it leaves needs no norm
            return self.ln_post(self.pooling(x, layout))
        return self.pooling(self.ln_post(x), layout)

    def _project(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., E)."""
        return x if self.proj is None else x @ self.proj

    def _turns(self, kept_patches: Tensor | None, device: torch.device) -> Tensor | None:
        """Rotary positions, (2, B or 1, P', d / 2)."""
        if self.rotary is None:
            return None
        if kept_patches is None:
            kept_patches = torch.arange(self.grid**2, device=device)[None]
        return self.rotary(kept_patches)

    def _draw_branches(self, x: Tensor, clips: int) -> Tensor | list[None]:
        """What each block multiplies its branches by: (layers, 2, B), or None for nothing.

        Drawn outside the blocks: what computes a block again, or compiles it, gets the same.
        """
        layers = len(self.resblocks)
        if not (self.training and self.drop_path_rate):
            return [None] * layers
        kept = 1 - torch.linspace(0, self.drop_path_rate, layers, device=x.device)[:, None, None]
        drawn = torch.rand(layers, 2, clips, device=x.device) < kept
        return (drawn / kept).to(x.dtype)

    def _run(self, block: nn.Module, *args: Any) -> Tensor:
        if self.checkpointing and self.training:
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)

    def _gather_patches(self, video: Tensor, kept_patches: Tensor | None) -> Tensor:
        """Check the shapes and cut out the kept patches: (B, T, P', 3 * p * p)."""
        self._check_video(video, kept_patches)
        if video.ndim == 6:
            return video.flatten(3)
        batch, frames = video.shape[:2]
        grid, side = self.grid, self.patch_size
        # Rows and columns of the patch grid, and of the pixels inside a patch.
        patches = video.reshape(batch, frames, 3, grid, side, grid, side)
        if kept_patches is None:
            return patches.permute(0, 1, 3, 5, 2, 4, 6).flatten(2, 3).flatten(3)
        clip = torch.arange(batch, device=video.device)[:, None, None]
        frame = torch.arange(frames, device=video.device)[:, None]
        row, column = (kept_patches // grid)[:, None], (kept_patches % grid)[:, None]
        return patches[clip, frame, :, row, :, column].flatten(3)

    def _check_video(self, video: Tensor, kept_patches: Tensor | None) -> None:
        name, shape = type(self).__name__, tuple(video.shape)
        if video.ndim == 6:
            side, kept = self.patch_size, None if kept_patches is None else kept_patches.shape[1]
            if shape[2:] != (kept, 3, side, side):
                raise ValueError(
                    f'{name} got patches (B, T, P\', 3, p, p) of the shape {shape}, but '
                    f'backbone.patch_size is {side} and kept_patches has P\' = {kept}: set '
                    'patch_size of RandomTubeMask to the same value')
        elif video.ndim != 5 or shape[2] != 3:
            hint = ("; a recognizer of MMAction2 takes backbone.output='embedding' or 'map'"
                    if video.ndim == 5 and shape[1] == 3 else '')
            raise ValueError(f'{name} expects (B, T, 3, H, W), got {shape}{hint}')
        elif shape[3:] != (self.image_size, self.image_size):
            raise ValueError(
                f'{name} was built with image_size={self.image_size}, but the frames are '
                f'{shape[3]} x {shape[4]} (H x W): set the crop size of the pipeline and '
                'backbone.image_size to the same value')
        if self.time_attention and shape[1] > self.num_frames:
            frames = 'num_frames' if self.output is None else 'clip_len'
            raise ValueError(
                f'a clip of {shape[1]} frames does not fit backbone.num_frames='
                f'{self.num_frames}: lower {frames} of the pipeline or raise backbone.num_frames')

    def _embed(self, patches: Tensor, kept_patches: Tensor | None) -> Tensor:
        """Project the patches and add the positions: (B, T, P', 3 * p * p) -> (R, D)."""
        spatial = self.positional_embedding[self.class_tokens:]
        if self.conv1.bias is not None:
            spatial = spatial + self.conv1.bias
        spatial = spatial[None] if kept_patches is None else spatial[kept_patches]  # (B, P', D)
        x = patches @ self.conv1.weight.flatten(1).t() + spatial[:, None]
        if self.time_attention:
            x = x + self._temporal(patches.shape[1])[:, None]
        if not self.class_tokens:
            return x.flatten(0, 2)
        class_token = self.class_embedding + self.positional_embedding[0]
        return torch.cat([x.flatten(0, 2), class_token.expand(patches.shape[0], -1).to(x)])

    def _temporal(self, frames: int) -> Tensor:
        """Positions in time, (T, D)."""
        if self.attention == 'divided' or frames == self.num_frames:
            return self.temporal_embedding[:frames]
        return F.adaptive_avg_pool1d(self.temporal_embedding.t(), frames).t()


def _build_part(option: str, kind: str, **arguments: Any) -> nn.Module:
    if MODELS.get(kind) is None:
        raise ValueError(f'backbone.{option}={kind!r} is no registered module')
    return MODELS.build(dict(type=kind, _scope_='tvtsv2_mm', **arguments))  # in a recognizer too
