"""Features and the model that they are of, ready to be searched."""

import os
from pathlib import Path

from tvtsv2_mm.apis.clips import clip_transforms
from tvtsv2_mm.apis.features import FeatureSet, load_features
from tvtsv2_mm.apis.features.shards import checkpoint_sha256
from tvtsv2_mm.apis.features.speech import SPEECH
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.launch.runs import check_checkpoint
from tvtsv2_mm.apis.search.index import open_index
from tvtsv2_mm.apis.search.searcher import Searcher
from tvtsv2_mm.choices import CLIP_KINDS


def open_search(folder: str | os.PathLike, checkpoint: str, *, config: str | None = None,
                device: str | None = None, dtype: str = 'float32', texts_only: bool = True,
                exact: bool = False) -> tuple[Searcher, TVTSv2Inferencer]:
    """Load a finished extraction, and the model that embeds what is looked for.

    Args:
        folder: of the features.
        checkpoint: that they were made with.
        config, device, dtype: of the model, as of TVTSv2Inferencer.
        texts_only: build the text encoder alone: no query is an example.
        exact: compare all rows, however many; otherwise as of :func:`open_index`. For a few
            queries an index saves less than it takes to open it.

    Raises:
        FileNotFoundError: there are no features, or no checkpoint.
        ValueError: they do not belong together.
    """
    features = load_features(folder)
    checkpoint = check_checkpoint(checkpoint)
    if checkpoint_sha256(folder, checkpoint) != features.meta['checkpoint_sha256']:
        raise ValueError(f'{folder} was made with another checkpoint '
                         f'({features.meta["checkpoint"]}) than {checkpoint}')
    speech = load_features(in_speech) if (in_speech := Path(folder, SPEECH)).is_dir() else None
    searcher = Searcher(features, speech) if exact else Searcher(
        features, speech, index=open_index(folder, features),
        speech_index=None if speech is None else open_index(in_speech, speech))
    inferencer = TVTSv2Inferencer(config, checkpoint, device=device, dtype=dtype,
                                  texts_only=texts_only, show_progress=False)
    if not texts_only:
        _show_examples_alike(inferencer, features, folder)
    return searcher, inferencer


def _show_examples_alike(inferencer: TVTSv2Inferencer, features: FeatureSet,
                         folder: str | os.PathLike) -> None:
    """Have the model see of an example what it saw of the videos; of all of it, whatever the rate.

    Raises:
        ValueError: it is not known how that was.
    """
    made = features.meta.get('clip')
    steps = made if isinstance(made, list) else []
    sampling = next((step for step in steps if isinstance(step, dict)
                     and step.get('type') == 'SampleClipFrames'), {})
    frames, fps = sampling.get('frames'), sampling.get('fps')
    for clips in CLIP_KINDS:
        try:
            if clip_transforms(inferencer.cfg, clips, frames, fps) == made:
                inferencer.pipeline = clip_transforms(inferencer.cfg, clips, frames)
                return
        except (TypeError, ValueError):
            continue
    raise ValueError(f'{folder} was made with other clips than this model takes of an example '
                     '(another --config?): look for texts, or extract the features anew')
