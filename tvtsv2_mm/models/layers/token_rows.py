"""The layout of tokens inside the video encoder: one matrix of rows for the whole batch."""

from typing import NamedTuple

import torch
from torch import Tensor

# Where the axes B, T, P of (B, T, P, ...) go for (B, G, M, ...).
_GROUPED = dict(space=(0, 1, 2), time=(0, 2, 1))


class TokenRows(NamedTuple):
    """Which row of a (R, D) matrix is which token.

    First the patches of all clips, clip by clip, frame by frame; then the class token of each clip:
    R = B * T * P + B. So linear layers see one matrix, and patches and class tokens are views of
    it: with the class token in front of each clip, no grouping of patches would be one.
    """

    clips: int
    frames: int
    patches: int

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(R, ...) -> patches (B, T, P, ...) and class tokens (B, ...)."""
        patches, class_tokens = rows.split(
            [self.clips * self.frames * self.patches, self.clips])
        return patches.view(self.clips, self.frames, self.patches, *rows.shape[1:]), class_tokens

    def spread(self, of_clips: Tensor) -> Tensor:
        """To each row the value of its clip: (B,) -> (R, 1)."""
        of_patches = of_clips[:, None].expand(-1, self.frames * self.patches)
        return torch.cat([of_patches.flatten(), of_clips])[:, None]


def members(patches_BTPnHd: Tensor, over: str) -> Tensor:
    """The view (n, B, G, H, M, d); over space G = T and M = P, over time G = P and M = T."""
    clip, group, member = _GROUPED[over]
    return patches_BTPnHd.permute(3, clip, group, 4, member, 5)
