"""Collated samples to the batch the model reads: on the device, stacked, normalised."""

from collections.abc import Callable, Mapping, Sequence

import torch
from mmaction.structures import ActionDataSample
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from tvtsv2_mm.checkpoints.description import IMAGENET_MEAN, IMAGENET_STD
from tvtsv2_mm.registry import MODELS


@MODELS.register_module()
class VideoTextDataPreprocessor(BaseDataPreprocessor):
    """Stack the samples of a batch, move them to the device, and normalise the pixels there.

    Pixels stay uint8 until they are on the device: a quarter of the bytes to move. Texts are cut to
    what is read of the longest of the batch before, where looking for it waits for no device.
    Frames from a
    sample's ``num_valid_frames`` on are set to 0 after normalisation, in each view
    (``short_clip='black'`` of ``DecodeClip``).

    Args:
        mean: Of each channel, RGB, in pixel values 0..255. The default is ImageNet's, as in the
            release; CLIP's own differs.
        std: Likewise.
        non_blocking: Do not wait for the copy to the device (with ``pin_memory`` in the loader).

    Attributes:
        longest_text: How many columns of token ids (N, L) the model's text encoder reads; the model
            sets it. None leaves the texts as they are.

    Raises:
        ValueError: If mean or std are not three numbers, std not positive.
    """

    longest_text: Callable[[Tensor], int] | None = None

    def __init__(self,
                 *,
                 mean: Sequence[float] = IMAGENET_MEAN,
                 std: Sequence[float] = IMAGENET_STD,
                 non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        if len(mean) != 3 or len(std) != 3:
            raise ValueError(f'mean and std need one number for each of R, G, B, got {mean}, {std}')
        if min(std) <= 0:
            raise ValueError(f'std must be positive, got {std}')
        if max(mean) <= 1 and max(std) <= 1:
            raise ValueError(f'mean={tuple(mean)} and std={tuple(std)} look like fractions; they '
                             'are in pixel values 0..255 here: multiply them by 255')
        # Loaded weights must be of a model of these.
        self.built_with = dict(mean=tuple(mean), std=tuple(std))
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor],
               recurse: bool = True) -> 'VideoTextDataPreprocessor':
        """Mean and std go to another device, and stay float32 in a model of another dtype."""
        def moved(value: Tensor) -> Tensor:
            new = fn(value)
            return new if new.dtype == value.dtype else value.to(new.device)

        return super()._apply(moved, recurse)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Make the batch.

        Args:
            data: What the loader gives (``pseudo_collate``): ``inputs``, a dict of lists of B
                tensors, ``video`` uint8 (T, 3, H, W) or kept patches (T, P', 3, p, p), optionally
                ``tokens`` (K, L) and ``kept_patches`` (P',); and ``data_samples``, B samples (may
                be missing).
            training: The same either way.

        Returns:
            ``inputs``: dict(video=float32 (B, T, 3, H, W) or (B, T, P', 3, p, p), tokens=int64
            (B, K, L), or a list of (K_i, L) where the samples have different numbers of texts,
            kept_patches=int64 (B, P')), and ``data_samples``.

        Raises:
            ValueError: If the clips have different sizes, or do not have 3 channels.
        """
        if isinstance(data, Sequence):
            raise ValueError('the batch is a list: a data set with clips_per_video above 1 needs '
                             "collate_fn=dict(type='tvtsv2_mm.collate_clips') in its data loader")
        data = self.cast_data(self._cut_texts(data))
        inputs, data_samples = data['inputs'], data.get('data_samples')
        if not isinstance(inputs, Mapping) or 'video' not in inputs:
            raise ValueError("the batch has no inputs['video']: end the pipeline with "
                             'PackVideoText')
        batch = {}
        if 'kept_patches' in inputs:
            batch['kept_patches'] = _stack_where_equal(inputs['kept_patches'])
            if not isinstance(batch['kept_patches'], Tensor):
                raise ValueError('the clips of a batch keep different numbers of patches: use one '
                                 'ratio of RandomTubeMask for all of them')
        batch['video'] = self._normalise(self._stack_clips(inputs['video'], data_samples))
        if data_samples is not None:
            self._blacken(batch['video'], data_samples)
        if 'tokens' in inputs:
            batch['tokens'] = _stack_where_equal(inputs['tokens'])
        return {'inputs': batch, 'data_samples': data_samples}

    def _cut_texts(self, data: dict) -> dict:
        inputs = data['inputs']
        if self.longest_text is None or not isinstance(inputs, Mapping) or 'tokens' not in inputs:
            return data
        longest = self.longest_text(torch.cat(list(inputs['tokens'])))
        tokens = [own[..., :longest] for own in inputs['tokens']]
        return data | {'inputs': {**inputs, 'tokens': tokens}}

    def _stack_clips(self, clips: Sequence[Tensor] | Tensor,
                     data_samples: Sequence[ActionDataSample] | None) -> Tensor:
        first = clips[0].shape
        for i, clip in enumerate(clips):
            shape, name = tuple(clip.shape), _name_of(data_samples, i)
            if len(shape) not in (4, 5) or shape[-3] != 3:
                raise ValueError(f'{name}: a clip must be (T, 3, H, W), or (T, P\', 3, p, p) where '
                                 f'it is masked, got {shape}')
            if shape != first:
                raise ValueError(f'{name}: its clip is {shape}, but {_name_of(data_samples, 0)} is '
                                 f'{tuple(first)}; all clips of a batch need one size, so the '
                                 'pipeline needs CropClip and one num_frames')
        return clips if isinstance(clips, Tensor) else torch.stack(list(clips))

    def _normalise(self, video: Tensor) -> Tensor:
        video = video.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        return video.sub_(self.mean).div_(self.std)

    @staticmethod
    def _blacken(video: Tensor, data_samples: Sequence[ActionDataSample]) -> None:
        for clip, sample in zip(video, data_samples, strict=True):
            num_valid = sample.get('num_valid_frames', len(clip))
            clip.unflatten(0, (sample.get('num_views', 1), -1))[:, num_valid:] = 0


def _stack_where_equal(tensors: Sequence[Tensor] | Tensor) -> Tensor | list[Tensor]:
    if isinstance(tensors, Tensor):
        return tensors
    if len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(list(tensors))
    return list(tensors)


def _name_of(data_samples: Sequence[ActionDataSample] | None, index: int) -> str:
    name = data_samples[index].get('filename') if data_samples is not None else None
    return name or f'sample {index} of the batch'
