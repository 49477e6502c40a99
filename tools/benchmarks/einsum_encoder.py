"""The video encoder's maths written plainly in torch, as the yardstick of model.py.

All patches are projected and masked afterwards, attention is einsum and softmax with its
probabilities kept, and the class token's key and value are copied in front of every group. The
parameters are named as SpaceTimeViT's, so that its state dict loads.

Shapes: B clips, T frames, P patches of a frame, P' kept patches, N = 1 + T * P' tokens, D width,
H heads, d = D / H, E embedding width.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = dict(gelu=F.gelu, quick_gelu=lambda x: x * torch.sigmoid(1.702 * x))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(..., n, d), (..., m, d), (..., m, d) -> (..., n, d); ``q`` is scaled already."""
    probabilities = torch.einsum('...qd,...kd->...qk', q, k).softmax(dim=-1)
    return torch.einsum('...qk,...kd->...qd', probabilities, v)


class EinsumAttention(nn.Module):
    """Attention over the tokens of one patch position ('time') or of one frame ('space')."""

    def __init__(self, width: int, heads: int, over: str) -> None:
        super().__init__()
        self.heads = heads
        self.over = over
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = q * q.shape[-1]**-0.5  # (B, H, N, d)
        class_out = attend(q[:, :, :1], k, v)

        # (B, H, groups, members, d); each group gets the class token's key and value in front.
        groups = [part[:, :, 1:].unflatten(2, (num_frames, -1)) for part in (q, k, v)]
        if self.over == 'time':
            groups = [part.transpose(2, 3) for part in groups]
        k, v = (torch.cat([part[:, :, None, :1].expand_as(group[:, :, :, :1]), group], dim=3)
                for part, group in zip((k, v), groups[1:], strict=True))
        out = attend(groups[0], k, v)
        if self.over == 'time':
            out = out.transpose(2, 3)
        out = torch.cat([class_out, out.flatten(2, 3)], dim=2)
        return self.proj(out.transpose(1, 2).flatten(2))


class EinsumBlock(nn.Module):
    """CLIP's block with time attention beside its space attention."""

    def __init__(self, width: int, heads: int, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.ln_1 = nn.LayerNorm(width)
        self.attn = EinsumAttention(width, heads, 'space')
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict(dict(
            c_fc=nn.Linear(width, 4 * width), c_proj=nn.Linear(4 * width, width)))
        self.ln_3 = nn.LayerNorm(width)
        self.timeattn = EinsumAttention(width, heads, 'time')

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        time = x + self.timeattn(self.ln_3(x), num_frames)
        space = x + self.attn(self.ln_1(time), num_frames)
        return space + self.mlp['c_proj'](self.activation(self.mlp['c_fc'](self.ln_2(space))))


class EinsumEncoder(nn.Module):
    """What SpaceTimeViT computes, with its config."""

    def __init__(self, config: Mapping) -> None:
        super().__init__()
        width, side = config['width'], config['patch_size']
        self.token_output = config['token_output']
        self.conv1 = nn.Conv2d(3, width, side, side, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(
            torch.empty(1 + (config['image_size'] // side)**2, width))
        self.temporal_embedding = nn.Parameter(torch.empty(config['num_frames'], width))
        self.ln_pre = nn.LayerNorm(width)
        self.resblocks = nn.ModuleList(
            EinsumBlock(width, config['heads'], config['activation'])
            for _ in range(config['layers']))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, config['embed_dim']))

    def forward(self, video: Tensor, kept_patches: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, T, 3, H, W), (B, P') -> embeddings (B, E), and tokens as SpaceTimeViT's."""
        batch, frames = video.shape[:2]
        x = self.conv1(video.flatten(0, 1)).flatten(2).transpose(1, 2)
        in_space, in_time = self.positional_embedding[1:], self.temporal_embedding[:frames, None]
        x = x.unflatten(0, (batch, frames)) + (in_space + in_time)  # (B, T, P, D)
        if kept_patches is not None:  # the same patches of every frame
            kept = kept_patches[:, None, :, None].expand(-1, frames, -1, x.shape[-1])
            x = x.gather(2, kept)
        # The class token has spatial position 0 and no position in time.
        class_token = (self.class_embedding + self.positional_embedding[0]).expand(batch, 1, -1)
        x = self.ln_pre(torch.cat([class_token.to(x.dtype), x.flatten(1, 2)], dim=1))
        for block in self.resblocks:
            x = block(x, frames)
        if self.token_output == 'all_normed':
            tokens = self.ln_post(x) @ self.proj
            return tokens[:, 0], tokens
        return self.ln_post(x[:, 0]) @ self.proj, x[:, 1:] @ self.proj
