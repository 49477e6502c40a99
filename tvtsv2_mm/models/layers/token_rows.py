"""The layout of tokens inside the video encoder: one matrix of rows for the whole batch."""

from typing import NamedTuple

import torch
from torch import Tensor

# Where the axes B, T, P of (B, T, P, ...) go for (B, G, M, ...).
_GROUPED = dict(space=(0, 1, 2), time=(0, 2, 1))


class TokenRows(NamedTuple):
    """Which row of a (R, D) matrix is which token.

    First the patches of all clips, clip by clip, frame by frame; then the class token of each clip,
    where there is one (C = 1, else 0): R = B * T * P + B * C. So linear layers see one matrix, and
    patches and class tokens are views of it: with the class token in front of each clip, no
    grouping of patches would be one.
    """

    clips: int
    frames: int
    patches: int
    class_tokens: int = 1  # of a clip: C

    @property
    def rows(self) -> int:
        """R."""
        return self.clips * (self.frames * self.patches + self.class_tokens)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(R, ...) -> patches (B, T, P, ...) and class tokens (B * C, ...)."""
        patches, class_tokens = rows.split(
            [self.clips * self.frames * self.patches, self.clips * self.class_tokens])
        return patches.view(self.clips, self.frames, self.patches, *rows.shape[1:]), class_tokens

    def by_clip(self, rows: Tensor) -> Tensor:
        """(R, ...) -> (B, C + T * P, ...), the class token first."""
        patches, class_tokens = self.split(rows)
        tokens = patches.flatten(1, 2)
        if not self.class_tokens:
            return tokens
        return torch.cat([class_tokens[:, None], tokens], dim=1)

    def spread(self, of_clips: Tensor) -> Tensor:
        """To each row the value of its clip: (B,) -> (R, 1)."""
        of_patches = of_clips[:, None].expand(-1, self.frames * self.patches)
        return torch.cat([of_patches.flatten(), of_clips[:len(of_clips) * self.class_tokens]])[
            :, None]


def members(patches_BTPnHd: Tensor, over: str) -> Tensor:
    """The view (n, B, G, H, M, d); over space G = T and M = P, over time G = P and M = T."""
    clip, group, member = _GROUPED[over]
    return patches_BTPnHd.permute(3, clip, group, 4, member, 5)
