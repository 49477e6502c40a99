"""Transcript sorting, TVTS' pretext task (TVTSv2 section 3): which transcript came when."""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from tvtsv2_mm.models.layers import attend
from tvtsv2_mm.registry import MODELS


class JointAttention(nn.Module):
    """Multi-head self-attention over video tokens and transcripts together."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, outputs: int) -> Tensor:
        """(B, N, E) -> (B, outputs, E): the last ``outputs`` tokens attend to all N."""
        return self.proj(attend(x[:, -outputs:], x, self.qkv, self.heads))


class JointBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = JointAttention(width=width, heads=heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            OrderedDict[str, nn.Module](
                fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width)))

    def forward(self, x: Tensor, outputs: int) -> Tensor:
        """(B, N, E) -> (B, outputs, E), the last tokens; those before them are read alone."""
        x = x[:, -outputs:] + self.attn(self.norm1(x), outputs)
        return x + self.mlp(self.norm2(x))


@MODELS.register_module()
class TranscriptSortingHead(BaseModule):
    """Tell the position of each of K transcripts from the video's tokens.

    The transcripts have a type embedding but no position: their order in the input carries no
    information. They are detached, so that the text encoder cannot help by giving the order away.
    The backbone must return tokens of the head's width; see :class:`.VideoBackbone`.

    Args:
        embed_dim: width E of the joint embedding space.
        num_transcripts: K.
        heads: attention heads (8 for E = 512, 16 for E = 1024 in the release).
        depth: number of blocks.
        loss_weight: weight of the loss (2 in the release).
    """

    __call__: Callable[..., Tensor]  # nn.Module's, with the type of forward

    def __init__(self,
                 *,
                 embed_dim: int = 512,
                 num_transcripts: int = 4,
                 heads: int = 8,
                 depth: int = 2,
                 loss_weight: float = 2.0) -> None:
        super().__init__()
        if embed_dim % heads:
            raise ValueError(f'embed_dim ({embed_dim}) must be a multiple of heads ({heads}): set '
                             'sorting_head.heads to what it was trained with')
        if num_transcripts < 2:
            raise ValueError(f'num_transcripts must be at least 2, not {num_transcripts}: one '
                             'transcript is in order anyway')
        if depth < 1:
            raise ValueError(f'depth must be at least 1, not {depth}')
        self.built_with = dict(heads=heads)
        self.embed_dim = embed_dim
        self.num_transcripts = num_transcripts
        self.loss_weight = loss_weight
        self.type_embed = nn.Parameter(torch.zeros(1, 2, embed_dim))
        self.blocks = nn.ModuleList(
            JointBlock(width=embed_dim, heads=heads) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, num_transcripts)
        nn.init.trunc_normal_(self.type_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, video_tokens: Tensor, text_embeds: Tensor) -> Tensor:
        """Score positions.

        Args:
            video_tokens: (B, N, E).
            text_embeds: (B, K, E), in any order.

        Returns:
            (B, K, K) logits: [b, k, j] that the k-th given transcript is the j-th in time.

        Raises:
            ValueError: there are not ``num_transcripts`` transcripts.
        """
        if text_embeds.shape[1] != self.num_transcripts:
            raise ValueError(
                f'sorting_head.num_transcripts is {self.num_transcripts}, but each sample has '
                f'{text_embeds.shape[1]} transcripts: set num_segments of '
                'SampleTranscriptSegments to the same value')
        texts = text_embeds.detach()
        x = torch.cat(
            [video_tokens + self.type_embed[:, :1], texts + self.type_embed[:, 1:]], dim=1)
        for block in self.blocks[:-1]:
            x = block(x, outputs=x.shape[1])
        # What the last block makes of the video tokens would be read by nobody.
        x = self.blocks[-1](x, outputs=self.num_transcripts)
        return self.head(self.norm(x))

    def loss(self, video_tokens: Tensor, text_embeds: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of each transcript's position, mean over B * K; texts in time order.

        Returns:
            ``loss_sorting`` (weighted) and ``acc_sorting`` (share of transcripts put right).
        """
        logits = self(video_tokens, text_embeds)
        truth = torch.arange(self.num_transcripts, device=logits.device).expand(len(logits), -1)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), truth.flatten())
        accuracy = (logits.argmax(dim=-1) == truth).float().mean()
        return dict(loss_sorting=self.loss_weight * loss, acc_sorting=accuracy)

    def idle(self) -> Tensor:
        """Return a zero that depends on every parameter, for batches with nothing to sort.

        So DDP sees the same graph in every step and needs no search for unused parameters. The
        optimiser steps with a zero gradient there, as it does in the release. It comes from a
        forward pass over zeros, one video token long, because only in its own forward does a part
        that fully_shard has sharded hold whole parameters.
        """
        width, like = self.type_embed.shape[-1], dict(
            device=self.type_embed.device, dtype=self.type_embed.dtype)
        logits = self(torch.zeros(1, 1, width, **like),
                      torch.zeros(1, self.num_transcripts, width, **like))
        return logits.sum() * 0.0
