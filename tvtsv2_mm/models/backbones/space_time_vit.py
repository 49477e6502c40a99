"""The video encoder: CLIP's ViT with divided space-time attention (TVTSv2 section 3)."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from tvtsv2_mm.models.layers import SpaceTimeBlock
from tvtsv2_mm.registry import MODELS


@MODELS.register_module()
class SpaceTimeViT(BaseModule):
    """CLIP ViT that reads a whole clip with one class token.

    Shapes: B clips, T frames, P patches of a frame, P' kept patches, D width, E embedding width.
    Parameters carry the names of the released checkpoints.

    Args:
        image_size: height and width of a frame in pixels.
        patch_size: side of a patch in pixels; must divide ``image_size``.
        width: token width D.
        layers: number of blocks.
        heads: attention heads.
        embed_dim: width E of the joint embedding space.
        num_frames: longest clip; rows of the temporal position table (12 in the release). A
            shorter clip uses the first T rows.
        activation: 'quick_gelu' (OpenAI-type) or 'gelu' (OpenCLIP-type).
        token_output: what the sorting head gets. 'all_normed': proj(ln_post(x)) of all tokens,
            the class token included (OpenAI-type). 'patches_raw': proj(x) of the patch tokens,
            without ln_post (OpenCLIP-type).
        time_attention: False leaves out everything that is new in time (see FramewiseViT).
        time_init: how time attention starts with the output 0. 'qkv' is the release's way, whose
            gradient is almost 0 too: the output weights are all equal, and the layer norm behind
            them takes out what is equal in all channels (measured in float32: 1e-7 of space
            attention's). 'proj' starts with a full gradient.
        temporal_std: standard deviation of the temporal position table at the start; None for the
            release's, ``width ** -0.5``. A narrow model whose patches outweigh that learns what
            came when far sooner with more.
        frozen: True takes all parameters out of training (linear probe).
        init_cfg: mmengine's initialisation config.
    """

    def __init__(self,
                 *,
                 image_size: int = 224,
                 patch_size: int = 16,
                 width: int = 768,
                 layers: int = 12,
                 heads: int = 12,
                 embed_dim: int = 512,
                 num_frames: int = 12,
                 activation: str = 'quick_gelu',
                 token_output: str = 'all_normed',
                 time_attention: bool = True,
                 time_init: str = 'qkv',
                 temporal_std: float | None = None,
                 frozen: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if image_size % patch_size:
            raise ValueError(
                f'image_size ({image_size}) must be a multiple of patch_size ({patch_size})')
        if token_output not in ('all_normed', 'patches_raw'):
            raise ValueError(
                f"token_output must be 'all_normed' or 'patches_raw', not {token_output!r}")
        self.image_size = image_size
        self.patch_size = patch_size
        self.num_frames = num_frames
        self.token_output = token_output
        self.grid = image_size // patch_size

        scale = width**-0.5
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(1 + self.grid**2, width))
        if time_attention:
            temporal_scale = scale if temporal_std is None else temporal_std
            self.temporal_embedding = nn.Parameter(temporal_scale * torch.randn(num_frames, width))
        self.time_attention = time_attention
        self.ln_pre = nn.LayerNorm(width)
        self.resblocks = nn.ModuleList(
            SpaceTimeBlock(
                width=width, heads=heads, activation=activation, time_attention=time_attention,
                time_init=time_init)
            for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, embed_dim))
        if frozen:
            self.requires_grad_(False)

    def forward(self, video: Tensor, kept_patches: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode clips.

        Args:
            video: (B, T, 3, H, W), normalised.
            kept_patches: (B, P') indices of the patches that every frame of a clip keeps (tube
                mask); None keeps all. The others are dropped before the patch projection.

        Returns:
            The clips' embeddings (B, E), and the tokens for the sorting head (B, N, E) with
            N = 1 + T * P' ('all_normed') or T * P' ('patches_raw'). Neither is l2-normalised.

        Raises:
            ValueError: the frames have another size, or there are more of them than rows in the
                temporal position table.
        """
        self._check_video(video)
        x = self.ln_pre(self._embed(video, kept_patches))
        for block in self.resblocks:
            x = block(x, num_frames=video.shape[1])
        if self.token_output == 'all_normed':
            tokens = self.ln_post(x) @ self.proj
            return tokens[:, 0], tokens
        return self.ln_post(x[:, 0]) @ self.proj, x[:, 1:] @ self.proj

    def _check_video(self, video: Tensor) -> None:
        if video.ndim != 5 or video.shape[2] != 3:
            raise ValueError(
                f'{type(self).__name__} expects (B, T, 3, H, W), got {tuple(video.shape)}')
        height, width = video.shape[-2:]
        if (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f'{type(self).__name__} was built with image_size={self.image_size}, but the '
                f'frames are {height} x {width} (H x W): set the crop size of the pipeline and '
                'backbone.image_size to the same value')
        if self.time_attention and video.shape[1] > self.num_frames:
            raise ValueError(
                f'a clip of {video.shape[1]} frames does not fit backbone.num_frames='
                f'{self.num_frames}: lower num_frames of the pipeline or raise the backbone\'s')

    def _embed(self, video: Tensor, kept_patches: Tensor | None) -> Tensor:
        """Project the kept patches and add the positions: (B, T, 3, H, W) -> (B, 1 + T*P', D)."""
        batch, frames = video.shape[:2]
        grid, side = self.grid, self.patch_size
        # Rows and columns of the patch grid, and of the pixels inside a patch.
        patches = video.reshape(batch, frames, 3, grid, side, grid, side)
        spatial = self.positional_embedding[1:]
        if kept_patches is None:
            patches = patches.permute(0, 3, 5, 1, 2, 4, 6).flatten(1, 2)  # (B, P, T, 3, p, p)
            spatial = spatial[None]  # (1, P, D)
        else:
            clip = torch.arange(batch, device=video.device)[:, None]
            patches = patches[clip, :, :, kept_patches // grid, :, kept_patches % grid]
            spatial = spatial[kept_patches]  # (B, P', D)
        x = patches.flatten(3) @ self.conv1.weight.flatten(1).t()  # (B, P', T, D)
        x = x.transpose(1, 2) + spatial[:, None]
        if self.time_attention:
            x = x + self.temporal_embedding[:frames, None]
        class_token = self.class_embedding + self.positional_embedding[0]
        return torch.cat([class_token.expand(batch, 1, -1).to(x), x.flatten(1, 2)], dim=1)
