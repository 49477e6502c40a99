"""The side that sees of a dual encoder of transformers, in the place of ours."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tvtsv2_mm.checkpoints.hugging_face import frames_of, read_pixels
from tvtsv2_mm.choices import AVERAGES
from tvtsv2_mm.models.hugging_face_part import HuggingFacePart, features_of
from tvtsv2_mm.registry import MODELS

from .listening import listening

# Types of models without a table of positions, or that resize it.
_OF_ANY_SIZE = ('align', 'siglip2')


@MODELS.register_module()
class HuggingFaceBackbone(HuggingFacePart):
    """A model of transformers as a :class:`.VideoBackbone`.

    One with ``get_video_features`` (X-CLIP, VideoPrism) gets clips; of one with
    ``get_image_features`` (CLIP, SigLIP, ALIGN, ...) the clip is the mean of its frames, which are
    encoded alone. They give embeddings, and no tokens.

    Args:
        folder: of the model; see :class:`.HuggingFacePart`.
        num_frames: of a clip, T. Of a model that reads clips it is the model's own, and needs not
            be said; where frames are encoded alone any number does.
        image_size: height and width of a frame in pixels; None for what the model's processor
            makes.
        average: of frames that are encoded alone the mean is that of 'directions', the
            l2-normalised embeddings, or of 'embeddings' as they are.
        frozen: nothing is trained.
        init_cfg: mmengine's initialisation config; 'Pretrained' as in PretrainedPart.

    Raises:
        FileNotFoundError, CheckpointError: see :class:`.HuggingFacePart`.
        ValueError: the model reads another number of frames, or frames of another size.
    """

    part = 'backbone'
    token_frames = None  # those of the clip, where there are tokens

    def __init__(self, *, folder: str | None = None, num_frames: int | None = None,
                 image_size: int | None = None, average: str = 'directions',
                 frozen: bool = False, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(folder=folder, frozen=frozen, init_cfg=init_cfg)
        if average not in AVERAGES:
            raise ValueError(f'average must be one of {", ".join(AVERAGES)}, not {average!r}')
        pixels = read_pixels(self.folder, self.config)
        self.pixels = dict(mean=pixels.mean, std=pixels.std)
        self.image_size = image_size or pixels.image_size
        self._check_size_of_frames()
        self.per_frame = hasattr(self.hf, 'get_image_features')
        self.average = average
        if self.per_frame:
            self.built_with['average'] = average
        own = frames_of(self.config)
        if own and num_frames not in (None, own):
            raise ValueError(f'{self.kind} in {self.folder} reads clips of {own} frames: set '
                             f'backbone.num_frames to that, not to {num_frames}')
        self.num_frames = own or num_frames

    def _check_size_of_frames(self) -> None:
        own = getattr(self.config.vision_config, 'image_size', None)
        if self.config.model_type not in _OF_ANY_SIZE and isinstance(own, int) and (
                self.image_size != own):
            raise ValueError(
                f'{self.kind} in {self.folder} reads frames of {own} pixels, not of '
                f'{self.image_size}: write that into size and crop_size of its '
                'preprocessor_config.json, and leave backbone.image_size out')

    def forward(self, video: Tensor, kept_patches: Tensor | None = None,
                class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode clips, see :class:`.VideoBackbone`.

        Raises:
            ValueError: patches are left out, or the clips are not those that the model reads.
        """
        if kept_patches is not None or video.ndim == 6:
            raise ValueError(f'{self.kind} cannot leave patches out, as the tube mask asks: take '
                             'RandomTubeMask out of the pipeline, or SpaceTimeViT as the backbone')
        if not self.per_frame:
            if video.shape[1] != self.num_frames:
                raise ValueError(f'{self.kind} reads clips of {self.num_frames} frames, but got '
                                 f'{video.shape[1]}: set num_frames of SampleClipFrames (and for '
                                 "one frame its frames='constant', not 'single')")
            return self.encode_clips(video, class_only)
        embeds = features_of(self.hf.get_image_features(**self._inputs(video.flatten(0, 1))))
        embeds = embeds.unflatten(0, video.shape[:2])
        if self.average == 'directions':
            embeds = F.normalize(embeds, dim=-1)
        return embeds.mean(dim=1), None

    def encode_clips(self, video: Tensor, class_only: bool) -> tuple[Tensor, Tensor | None]:
        """Encode clips (B, T, 3, H, W) by a model that reads them."""
        name = 'pixel_values_videos' if self.config.model_type == 'videoprism' else 'pixel_values'
        return features_of(self.hf.get_video_features(**{name: video})), None

    def _inputs(self, frames: Tensor) -> dict[str, Tensor]:
        """What the library's model takes of frames (N, 3, H, W)."""
        if self.config.model_type != 'siglip2':
            return dict(pixel_values=frames)
        patch = self.config.vision_config.patch_size
        if frames.shape[2] % patch or frames.shape[3] % patch:
            raise ValueError(f'frames of {tuple(frames.shape[2:])} pixels are no multiples of the '
                             f'patches of {self.kind}, of {patch} pixels: set CropClip.size')
        patches = frames.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))
        grid = torch.tensor([patches.shape[2], patches.shape[4]], device=frames.device)
        patches = patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return dict(pixel_values=patches, spatial_shapes=grid.expand(len(frames), 2),
                    pixel_attention_mask=torch.ones_like(patches[..., 0], dtype=torch.int32))


@MODELS.register_module()
class XClipBackbone(HuggingFaceBackbone):
    """X-CLIP (arXiv 2208.02816), which can look at a video to read a text.

    Its tokens are the patches that its video-specific prompts look at, (B, T * P, E) frame by
    frame. Arguments are those of :class:`HuggingFaceBackbone`.

    Raises:
        ValueError: the folder is of another model.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        if self.config.model_type != 'xclip':
            raise ValueError(f'{self.folder} has a model of type {self.config.model_type!r}, and '
                             "XClipBackbone is for 'xclip': take HuggingFaceBackbone")

    def encode_clips(self, video: Tensor, class_only: bool) -> tuple[Tensor, Tensor | None]:
        """Encode clips (B, T, 3, H, W)."""
        if class_only:
            return super().encode_clips(video, class_only)
        with listening(self.hf.vision_model) as heard:
            embeds, _ = super().encode_clips(video, class_only)
        patches = self.hf.prompts_visual_layernorm(heard[-1][0][:, 1:])
        tokens = patches @ self.hf.prompts_visual_projection
        return embeds, tokens.unflatten(0, video.shape[:2]).flatten(1, 2)

    def condition_texts(self, text_embeds: Tensor, tokens: Tensor) -> Tensor:
        """Add to texts what the prompts of each video make of them.

        Args:
            text_embeds: (C, E), not l2-normalised.
            tokens: of B clips, (B, N, E).

        Returns:
            (B, C, E), not l2-normalised.
        """
        frames = tokens.unflatten(1, (self.num_frames, -1)).mean(dim=1)
        texts = text_embeds.expand(len(tokens), -1, -1)
        return texts + self.hf.prompts_generator(texts, frames)
