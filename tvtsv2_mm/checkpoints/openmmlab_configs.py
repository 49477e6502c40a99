"""What the config in a checkpoint of MMAction2 or mmpretrain says of the model: read, never run."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .description import Description, openai_clip
from .model_config import literal_config, written_config

# Models of MMAction2 with the CLIP of OpenAI's package.
CLIPS = ('CLIPSimilarity', 'ActionClip')


def description_within(content: Any, weights: Mapping[str, Tensor] | None) -> Description | None:
    """Read the pixels, and of CLIP4Clip and ActionCLIP that they are OpenAI's CLIP.

    Args:
        content: what was read from the file.
        weights: those of a CLIP in it, by OpenAI's names, if there are any.

    Returns:
        None where there is no config, or one that does not say it in literals.
    """
    text = written_config(content) if isinstance(content, Mapping) else None
    if text is None:
        return None
    try:
        written = literal_config(text)
        model = dict(written['model'])
        kind = str(model['type']).rpartition('.')[2]
        preprocessor = model.get('data_preprocessor') or written.get('data_preprocessor') or {}
        preprocessor = (preprocessor.get('preprocessors') or {}).get('imgs', preprocessor)
        pixels = {key: tuple(preprocessor[key]) for key in ('mean', 'std')
                  if _are_pixels(preprocessor.get(key))}
        if 'data_preprocessor' in written and not preprocessor.get('to_rgb'):
            pixels = {}  # mmpretrain's of BGR
    except Exception:  # whatever strangers write into a text
        return None
    if kind in CLIPS and weights is not None and 'visual.proj' in weights:
        told = openai_clip(weights, average='embeddings')
    elif 'backbone' in model and kind != 'VideoTextModel' and pixels:
        told = Description()
    else:
        return None
    return told | Description(data_preprocessor=pixels, source=f'the {kind} in the checkpoint')


def _are_pixels(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) == 3 and all(
        type(value) in (int, float) and 0 < value < 256 for value in values)
