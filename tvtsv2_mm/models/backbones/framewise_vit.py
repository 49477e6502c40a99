"""The baseline: a CLIP that reads each frame alone and averages."""

import torch.nn.functional as F
from torch import Tensor

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
        kwargs: arguments of SpaceTimeViT.
    """

    def __init__(self, *, average: str = 'directions', **kwargs) -> None:
        super().__init__(time_attention=False, **kwargs)
        if average not in AVERAGES:
            raise ValueError(f'average must be one of {", ".join(AVERAGES)}, not {average!r}')
        self.built_with['average'] = average
        self.average = average

    def _patches(self, tokens: Tensor, frames: int) -> Tensor:
        return tokens.unflatten(1, (frames, -1))[:, :, -self.grid**2:]

    def encode(self, video: Tensor, kept_patches: Tensor | None = None,
               class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode frames and average; shapes as in :meth:`SpaceTimeViT.encode`.

        The tokens of all frames (their class tokens too, where SpaceTimeViT returns its one) come
        one frame after the other.
        """
        self._check_video(video, kept_patches)
        batch, frames = video.shape[:2]
        if kept_patches is not None:
            kept_patches = kept_patches.repeat_interleave(frames, dim=0)
        embeds, tokens = super().encode(
            video.flatten(0, 1).unsqueeze(1), kept_patches, class_only)
        if self.average == 'directions':
            embeds = F.normalize(embeds, dim=-1)
        clip_embeds = embeds.view(batch, frames, -1).mean(dim=1)
        if tokens is not None:
            tokens = tokens.reshape(batch, -1, tokens.shape[-1])
        return clip_embeds, tokens
