"""The layout of tokens inside the video encoder: one matrix of rows for the whole batch."""

from typing import NamedTuple

from torch import Tensor


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
