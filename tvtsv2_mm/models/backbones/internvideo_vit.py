"""InternVideo's video encoder: CLIP's ViT on every frame, and a query that reads all frames."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from tvtsv2_mm.models.layers import TokenRows, attend
from tvtsv2_mm.models.layers.norm_linear import activation_linear, build_activation, norm_linear
from tvtsv2_mm.models.lora import adapt
from tvtsv2_mm.registry import MODELS

from .space_time_vit import SpaceTimeViT


@MODELS.register_module()
class InternVideoViT(SpaceTimeViT):
    """The video encoder of InternVideo-MM (Wang et al., arXiv 2212.03191): UniFormerV2's.

    The ViT is CLIP's and reads each frame alone. Beside its last blocks a learned query goes from
    decoder to decoder and reads all tokens that the block gives, of all frames, the patches with a
    depthwise 3 x 3 x 3 convolution of them added, which is all that knows of time and place there.
    Query and mean class token are mixed, channel by channel. Parameters carry the names of the
    published checkpoints; InternVideo's ``visual_ln_post`` and ``visual_proj`` are ``ln_post`` and
    ``proj``.

    Nothing depends on the number of frames; InternVideo was trained with 8.

    Args:
        decoders: how many of the last blocks have one.
        num_frames: of a clip, where the pipeline does not say it.
        frozen: as SpaceTimeViT's; so is ``lora``.
        kwargs: arguments of SpaceTimeViT, but for those of time, class token and pooling.

    Raises:
        ValueError: there are fewer blocks than decoders, or a map is asked for.
    """

    behind_blocks = ('temporal_cls_token', 'dpe', 'dec', 'balance', 'ln_post', 'proj')

    def __init__(self, *, decoders: int = 4, num_frames: int = 8, frozen: bool = False,
                 lora: dict | None = None, **kwargs: Any) -> None:
        super().__init__(
            time_attention=False, token_output='all_normed', class_token=True,
            pooling='ClassTokenPooling', rotary=None, num_frames=num_frames, **kwargs)
        width, layers, heads = (self.built_with[key] for key in ('width', 'layers', 'heads'))
        if not 1 <= decoders <= layers:
            raise ValueError(f'decoders must lie in 1..{layers} (the number of layers), '
                             f'not {decoders}')
        if self.output == 'map':
            raise ValueError("backbone.output='map' has nothing of InternVideoViT's decoders: take "
                             "output='embedding'")
        self.built_with['decoders'] = decoders
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dpe = nn.ModuleList(
            nn.Conv3d(width, width, kernel_size=3, padding=1, groups=width)
            for _ in range(decoders))
        self.dec = nn.ModuleList(
            _Decoder(width=width, heads=heads, mlp_width=self.built_with['mlp_width'],
                     activation=self.built_with['activation'],
                     norm_eps=self.built_with['norm_eps'])
            for _ in range(decoders))
        self.balance = nn.Parameter(torch.zeros(width))
        if frozen:
            self.requires_grad_(False)
        adapt(self, lora)

    def encode(self, video: Tensor, kept_patches: Tensor | None = None,
               class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode clips; shapes as in :meth:`SpaceTimeViT.encode`, N = 1 + T * P.

        The tokens are the clip's embedding and, frame by frame, the last block's patches.

        Raises:
            ValueError: the frames have another size, or patches are left out.
        """
        if kept_patches is not None:
            raise ValueError('InternVideoViT cannot leave patches out, as the tube mask asks: take '
                             'RandomTubeMask out of the pipeline, or SpaceTimeViT as the backbone')
        patches = self._gather_patches(video, None)
        batch, frames, count = patches.shape[:3]
        layout = TokenRows(batch * frames, 1, count)
        x = self.ln_pre(self._embed(patches.flatten(0, 1).unsqueeze(1), None))
        query = self.temporal_cls_token[0].expand(batch, -1)
        before = len(self.resblocks) - len(self.dec)
        for index, (block, own) in enumerate(
                zip(self.resblocks, self._draw_branches(x, layout.clips), strict=True)):
            x = self._run(block, x, layout, False, own)
            if index >= before:
                tokens = self._tokens(x, layout, batch, self.dpe[index - before])
                query = self._run(self.dec[index - before], query, tokens)
        patches, class_tokens = (part.unflatten(0, (batch, frames)) for part in layout.split(x))
        share = self.balance.sigmoid()
        embeds = self._project(
            self.ln_post((1 - share) * query + share * class_tokens.mean(dim=1)))
        if class_only:
            return embeds, None
        tokens = self._project(self.ln_post(patches.flatten(1, 3)))
        return embeds, torch.cat([embeds[:, None], tokens], dim=1)

    def _tokens(self, x: Tensor, layout: TokenRows, batch: int, convolution: nn.Module) -> Tensor:
        """What a decoder reads of the rows of all frames: (R, D) -> (B, T * (1 + P), D)."""
        patches, class_tokens = layout.split(x)
        volume = patches.unflatten(0, (batch, -1)).squeeze(2).movedim(-1, 1).unflatten(
            3, (self.grid, self.grid))  # (B, D, T, h, w)
        volume = volume + convolution(volume)
        return torch.cat(
            [class_tokens.unflatten(0, (batch, -1)), volume.flatten(2).transpose(1, 2)], dim=1)


class _Decoder(nn.Module):
    """A query's block::

        query = query + attn(ln_1(query), ln_3(tokens))
        out   = query + mlp(ln_2(query))

    Args: as SpaceTimeBlock's.
    """

    def __init__(self, *, width: int, heads: int, mlp_width: int, activation: str,
                 norm_eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.activation = build_activation(activation)
        self.ln_1, self.ln_2, self.ln_3 = (nn.LayerNorm(width, norm_eps) for _ in range(3))
        self.attn: Any = nn.ModuleDict(
            OrderedDict(qkv=nn.Linear(width, 3 * width), proj=nn.Linear(width, width)))
        self.mlp: Any = nn.ModuleDict(
            OrderedDict(c_fc=nn.Linear(width, mlp_width), c_proj=nn.Linear(mlp_width, width)))

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """(B, D) and (B, N, D) -> (B, D)."""
        read = attend(self.ln_1(query)[:, None], self.ln_3(tokens), self.attn.qkv, self.heads)
        query = query + self.attn.proj(read.squeeze(1))
        hidden = norm_linear(query, self.ln_2, self.mlp.c_fc, self.activation.scale)
        return query + activation_linear(hidden, self.activation, self.mlp.c_proj)
