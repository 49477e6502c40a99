"""The video encoder's maths written plainly, as the yardstick of tools/benchmarks/model.py.

All patches are projected and masked afterwards, attention is einsum and softmax with its
probabilities kept, and the class token's key and value are copied in front of every group. The
parameters are named as SpaceTimeViT's, so that its state dict loads.

Shapes: B clips, T frames, P patches of a frame, P' kept patches, N = 1 + T * P' tokens, D width,
H heads, d = D / H, E embedding width.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return x * torch.sigmoid(1.702 * x)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(G, n, d), (G, m, d), (G, m, d) -> (G, n, d); ``q`` is scaled already."""
    probabilities = torch.einsum('gnd,gmd->gnm', q, k).softmax(dim=-1)
    return torch.einsum('gnm,gmd->gnd', probabilities, v)


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
        batch, length, width = x.shape
        heads, head_dim = self.heads, width // self.heads
        q, k, v = (
            part.reshape(batch, length, heads, head_dim).transpose(1, 2).reshape(
                batch * heads, length, head_dim) for part in self.qkv(x).chunk(3, dim=-1))
        q = q * head_dim**-0.5
        class_out = attend(q[:, :1], k, v)

        q, k_patches, v_patches = (self._group(part[:, 1:], num_frames) for part in (q, k, v))
        groups = len(q) // len(k)
        k = torch.cat([k[:, :1].repeat_interleave(groups, dim=0), k_patches], dim=1)
        v = torch.cat([v[:, :1].repeat_interleave(groups, dim=0), v_patches], dim=1)
        out = attend(q, k, v).reshape(batch * heads, groups, -1, head_dim)
        if self.over == 'time':
            out = out.transpose(1, 2)
        out = torch.cat([class_out, out.reshape(batch * heads, length - 1, head_dim)], dim=1)
        out = out.reshape(batch, heads, length, head_dim).transpose(1, 2)
        return self.proj(out.reshape(batch, length, width))

    def _group(self, x: Tensor, num_frames: int) -> Tensor:
        """(B * H, T * P', d) -> (B * H * groups, members, d)."""
        x = x.reshape(len(x), num_frames, -1, x.shape[-1])
        if self.over == 'time':
            x = x.transpose(1, 2)
        return x.flatten(0, 1)


class EinsumBlock(nn.Module):
    """CLIP's block with time attention beside its space attention."""

    def __init__(self, width: int, heads: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = EinsumAttention(width, heads, 'space')
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(OrderedDict(
            c_fc=nn.Linear(width, 4 * width), act=activation(),
            c_proj=nn.Linear(4 * width, width)))
        self.ln_3 = nn.LayerNorm(width)
        self.timeattn = EinsumAttention(width, heads, 'time')

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        time = x + self.timeattn(self.ln_3(x), num_frames)
        space = x + self.attn(self.ln_1(time), num_frames)
        return space + self.mlp(self.ln_2(space))


class EinsumEncoder(nn.Module):
    """What SpaceTimeViT computes; the arguments are its own."""

    def __init__(self, *, image_size: int, patch_size: int, width: int, layers: int, heads: int,
                 embed_dim: int, num_frames: int, activation: str, token_output: str) -> None:
        super().__init__()
        patches = (image_size // patch_size)**2
        self.token_output = token_output
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + patches, width))
        self.temporal_embedding = nn.Parameter(torch.empty(num_frames, width))
        self.ln_pre = nn.LayerNorm(width)
        activations = dict(quick_gelu=QuickGELU, gelu=nn.GELU)
        self.resblocks = nn.ModuleList(
            EinsumBlock(width, heads, activations[activation]) for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, embed_dim))

    def forward(self, video: Tensor, kept_patches: Tensor | None = None,
                class_only: bool = False) -> tuple[Tensor, Tensor]:
        """(B, T, 3, H, W), (B, P') -> embeddings (B, E), and tokens as SpaceTimeViT's.

        All tokens are computed whatever ``class_only`` says, as in the release.
        """
        batch, frames = video.shape[:2]
        x = self.conv1(video.flatten(0, 1))
        x = x.flatten(2).transpose(1, 2).reshape(batch, -1, x.shape[1])
        class_token = self.class_embedding.expand(batch, 1, -1)
        x = torch.cat([class_token.to(x.dtype), x], dim=1) + self._positions(frames)
        if kept_patches is not None:
            x = self._mask(x, kept_patches, frames)
        x = self.ln_pre(x)
        for block in self.resblocks:
            x = block(x, frames)
        if self.token_output == 'all_normed':
            tokens = self.ln_post(x) @ self.proj
            return tokens[:, 0], tokens
        return self.ln_post(x[:, 0]) @ self.proj, x[:, 1:] @ self.proj

    def _positions(self, frames: int) -> Tensor:
        """(1 + T * P, D): the class token has spatial position 0 and no position in time."""
        spatial = self.positional_embedding[1:]
        in_space = spatial.repeat(frames, 1)
        in_time = self.temporal_embedding[:frames].repeat_interleave(len(spatial), dim=0)
        return torch.cat([self.positional_embedding[:1], in_space + in_time])

    @staticmethod
    def _mask(x: Tensor, kept_patches: Tensor, frames: int) -> Tensor:
        """Keep the class token, and the same patches of every frame."""
        patches = (x.shape[1] - 1) // frames
        starts = 1 + patches * torch.arange(frames, device=x.device)
        kept = (starts[:, None] + kept_patches[:, None]).flatten(1)  # (B, T * P')
        kept = torch.cat([torch.zeros_like(kept[:, :1]), kept], dim=1)
        return x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))
