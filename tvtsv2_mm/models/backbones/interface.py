"""What a backbone returns, and with that what a head can ask for."""

from typing import Protocol

from torch import Tensor


class VideoBackbone(Protocol):
    """The video encoder of a VideoTextModel.

    :class:`.SpaceTimeViT`, :class:`.FramewiseViT` and :class:`.OpenMMLabBackbone` are of this
    interface; any registered module that is may take their place. Shapes: B clips, T frames, E
    embedding width, N tokens.

    What needs what:

    - embeddings alone: VideoTextContrastiveHead, ZeroShotHead, LinearProbeHead, all metrics, the
      logistic and the kNN probe, features;
    - tokens too: TranscriptSortingHead and the attentive probe;
    - ``kept_patches``: RandomTubeMask in the pipeline.

    Attributes:
        embed_dim: E.
        token_frames: T' where the tokens are of other frames than the clip has, as in models that
            read two frames at a time; None where T' = T.
        pixels: ``mean`` and ``std`` (pixel values 0..255) with which it was trained: what a
            VideoTextDataPreprocessor takes that does not say its own. None where nobody knows.
    """

    embed_dim: int
    token_frames: int | None
    pixels: dict | None

    def __call__(self, video: Tensor, kept_patches: Tensor | None = None,
                 class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode clips.

        Args:
            video: (B, T, 3, H, W), normalised; or its kept patches (B, T, P', 3, p, p).
            kept_patches: (B, P') indices of the patches that every frame of a clip keeps. A
                backbone that cannot leave patches out raises a ValueError that says so.
            class_only: tokens are not needed.

        Returns:
            Embeddings (B, E) and tokens (B, N, E), neither of them l2-normalised. The tokens come
            frame by frame, T' square frames; a class token of the clip may come before them. They
            are None with ``class_only``, and of a backbone that has none.
        """
        ...
