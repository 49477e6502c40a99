"""The baseline: a CLIP that reads each frame alone and averages."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tvtsv2_mm.choices import AVERAGES
from tvtsv2_mm.registry import MODELS

from .space_time_vit import SpaceTimeViT


@MODELS.register_module()
class FramewiseViT(SpaceTimeViT):
    """CLIP's ViT on every frame; the clip is the mean of the frame embeddings.

    It has the parameters of :class:`SpaceTimeViT` less those that are new in time, and the same
    interface, so that every protocol can be run with it to show what time adds. The number of
    frames is not limited.

    Args:
        average: what the mean is of: 'directions', the l2-normalised embeddings, or 'embeddings',
            as they are (MMAction2's CLIP4Clip).
        frames_per_patch: with 2, a patch spans two frames one after the other, which the ViT reads
            as one picture (ImageBind); their colours are the channels of ``conv1``: red of both,
            green of both, blue of both.
        kwargs: arguments of SpaceTimeViT.

    Raises:
        ValueError: the frames of a clip are no multiple of ``frames_per_patch``.
    """

    def __init__(self, *, average: str = 'directions', frames_per_patch: int = 1,
                 **kwargs: Any) -> None:
        super().__init__(time_attention=False, **kwargs)
        if average not in AVERAGES:
            raise ValueError(f'average must be one of {", ".join(AVERAGES)}, not {average!r}')
        if frames_per_patch < 1:
            raise ValueError(f'frames_per_patch must be at least 1, not {frames_per_patch}')
        self.built_with.update(average=average, frames_per_patch=frames_per_patch)
        self.average = average
        self.frames_per_patch = frames_per_patch
        if frames_per_patch != 1:
            self._pictures_of(self.num_frames)
            self.token_frames = self.num_frames // frames_per_patch
            one = self.conv1
            self.conv1 = nn.Conv2d(3 * frames_per_patch, one.out_channels, self.patch_size,
                                   self.patch_size, bias=one.bias is not None)
            self.conv1.requires_grad_(one.weight.requires_grad)

    def _pictures_of(self, frames: int) -> int:
        if frames % self.frames_per_patch:
            raise ValueError(
                f'a clip of {frames} frames is no multiple of backbone.frames_per_patch='
                f'{self.frames_per_patch}: set num_frames of the pipeline and of the backbone to '
                "one (and for one frame frames='constant', not 'single')")
        return frames // self.frames_per_patch

    def _patches(self, tokens: Tensor, frames: int) -> Tensor:
        return super()._patches(tokens, frames // self.frames_per_patch)

    def _gather_patches(self, video: Tensor, kept_patches: Tensor | None) -> Tensor:
        """Of pictures (N, t, ...) the patches (N, 1, P', 3 * t * p * p)."""
        patches = super()._gather_patches(video, kept_patches).unflatten(3, (3, -1))
        return patches.permute(0, 2, 3, 1, 4).flatten(2).unsqueeze(1)

    def encode(self, video: Tensor, kept_patches: Tensor | None = None,
               class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode frames and average; shapes as in :meth:`SpaceTimeViT.encode`.

        The tokens are the patches of all pictures, N = T * P' (of t frames a picture T / t * P').
        """
        self._check_video(video, kept_patches)
        batch, frames = video.shape[:2]
        pictures = self._pictures_of(frames)
        patches = self.grid**2
        if kept_patches is not None:
            patches = kept_patches.shape[1]
            kept_patches = kept_patches.repeat_interleave(pictures, dim=0)
        embeds, tokens = super().encode(
            video.unflatten(1, (pictures, -1)).flatten(0, 1), kept_patches, class_only)
        if self.average == 'directions':
            embeds = F.normalize(embeds, dim=-1)
        clip_embeds = embeds.view(batch, pictures, -1).mean(dim=1)
        if tokens is not None:
            # Without the class tokens of the pictures.
            tokens = tokens[:, -patches:].reshape(batch, -1, tokens.shape[-1])
        return clip_embeds, tokens
