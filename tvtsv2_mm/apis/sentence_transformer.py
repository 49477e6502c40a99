"""A trained model as a module of sentence-transformers: its ``encode`` takes texts and videos.

    model = sentence_transformer('TVTSv2_ViT_B_16.pth')
    model.encode(['a dog runs', 'clips/a.mp4', Path('clips/b.mp4'), frames])
    model.save('folder')                     # not of models that transformers runs
    sentence_transformer('folder')
    SentenceTransformer('folder', trust_remote_code=True)    # and so for what builds on this class
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config

from tvtsv2_mm.apis.clips import Video, clip_transforms
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.checkpoints.lora import without_lora
from tvtsv2_mm.checkpoints.model_config import config_of_checkpoint
from tvtsv2_mm.checkpoints.processors import read_json
from tvtsv2_mm.checkpoints.whole import save_whole
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.tokenizer_files import copy_tokenizer, name_of
from tvtsv2_mm.video.files import VIDEO_SUFFIXES

with needed_for('encode() as in sentence-transformers'):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import InputModule

WEIGHTS = 'tvtsv2_mm.pth'


_NARROW = (torch.float16, torch.bfloat16)
# Of what sentence-transformers writes beside it.
_OPTIONS = ('prompts', 'default_prompt_name', 'similarity_fn_name', 'truncate_dim')


def sentence_transformer(checkpoint: str | os.PathLike, config: str | os.PathLike | None = None, *,
                         device: str | None = None, dtype: str | torch.dtype | None = None,
                         clips: str | None = None, tokenizer: str | os.PathLike | None = None,
                         **options: Any) -> SentenceTransformer:
    """Make a SentenceTransformer of a checkpoint, or of the folder that its ``save`` wrote.

    Args:
        checkpoint, config, dtype, clips, tokenizer: of :class:`VideoTextModule`; None for its
            defaults, or what was saved.
        device: 'cpu', 'cuda', 'cuda:1', ...; None takes a GPU where there is one.
        options: of SentenceTransformer, such as ``prompts``.
    """
    arguments: dict[str, Any] = dict(config=config, dtype=dtype, clips=clips, tokenizer=tokenizer)
    given = {name: value for name, value in arguments.items() if value is not None}
    folder = Path(checkpoint).expanduser()
    if (folder / VideoTextModule.config_file_name).is_file():
        # Not by SentenceTransformer, which would run what modules.json names.
        module = VideoTextModule.load(str(folder), model_kwargs=given)
        file = folder / 'config_sentence_transformers.json'
        written = read_json(file) if file.is_file() else {}
        options = {name: written[name] for name in _OPTIONS
                   if written.get(name) is not None} | options
    else:
        module = VideoTextModule(checkpoint, **given)
    return _VideoTextTransformer(modules=[module], device=device, **options)


class _VideoTextTransformer(SentenceTransformer):
    """One that asks before it writes anything whether all of it can be written."""

    def save(self, path: str, *args: Any, **kwargs: Any) -> None:
        """As the library's.

        Raises:
            ValueError, FileNotFoundError: as of :meth:`VideoTextModule.to_be_saved`.
        """
        for module in self if path is not None else ():
            if isinstance(module, VideoTextModule):
                module.to_be_saved()
        super().save(path, *args, **kwargs)


# As cards of models and messages of the library call it.
_VideoTextTransformer.__name__ = SentenceTransformer.__name__


class _Embeddings(dict):
    """What a batch gives; asked for more, it says that there is no more."""

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"{key!r} is not given by this model, which makes one embedding of a text "
                         "or video: output_value must be 'sentence_embedding' or None")


class VideoTextModule(InputModule):
    """Embeds texts and videos, l2-normalised, into one space.

    A string is a text, but where it names a video: a file that is there, or a name without blanks,
    with the suffix of a video. A path object, the bytes of a file and frames (uint8 (T, H, W, 3) in
    RGB, or (T, 3, H, W)) are videos. ``dict(text=...)`` and ``dict(video=...)`` leave nothing to
    guess; ``dict(text=..., video=...)`` has the direction of the sum of both embeddings.

    Args:
        checkpoint: of any layout that this package reads: file, folder or address.
        config: config file, needed where the checkpoint does not tell its model.
        dtype, clips, tokenizer: of :class:`~tvtsv2_mm.apis.inferencer.TVTSv2Inferencer`. Torch's
            own dtypes do too. A module that is brought to float16 or bfloat16 (``half()``,
            ``bfloat16()``, ``to()``) runs in that.
    """

    config_file_name = 'tvtsv2_mm.json'
    config_keys = ['dtype', 'clips']

    def __init__(self, checkpoint: str | os.PathLike, config: str | os.PathLike | None = None, *,
                 dtype: str | torch.dtype = 'float32', clips: str = 'protocol',
                 tokenizer: str | os.PathLike | None = None) -> None:
        super().__init__()
        dtype = str(dtype).removeprefix('torch.')
        # SentenceTransformer moves it to the device.
        self.inferencer = TVTSv2Inferencer(
            None if config is None else os.fspath(config), os.fspath(checkpoint), device='cpu',
            dtype=dtype, clips=clips, tokenizer=tokenizer, show_progress=False)
        self.model = self.inferencer.model
        self.checkpoint, self.dtype, self.clips = os.fspath(checkpoint), dtype, clips

    @property
    def modalities(self) -> list:
        """What SentenceTransformer lets through; 'message' is how it calls a list of both kinds.

        It takes the names of some videos for texts, which pass, therefore, where the model has no
        text encoder too.
        """
        return ['text', 'video', ('text', 'video'), 'message']

    @property
    def max_seq_length(self) -> int | None:
        """Tokens of a text."""
        return self.model.neck and self.model.neck.context_length

    def get_embedding_dimension(self) -> int:
        """Width of the embeddings, E."""
        return self.model.backbone.embed_dim

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None,
                   **_: Any) -> dict[str, Any]:
        """Tell texts and videos apart; the prompt goes before each text.

        Raises:
            ValueError: an input is neither.
        """
        return dict(inputs=[_parts(one, prompt or '') for one in inputs])

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Add ``sentence_embedding``, float32 (N, E).

        Raises:
            ValueError, VideoError: as of the inferencer's ``embed_texts`` and ``embed_videos``.
        """
        inputs = features['inputs']
        embeds = torch.zeros(len(inputs), self.get_embedding_dimension())
        for kind, embed in (('text', self.inferencer.embed_texts),
                            ('video', self.inferencer.embed_videos)):
            rows = [row for row, parts in enumerate(inputs) if kind in parts]
            if rows:
                embeds[rows] += torch.from_numpy(embed([inputs[row][kind] for row in rows]))
        embeds = F.normalize(embeds, dim=-1).to(self.inferencer.device)
        return _Embeddings(sentence_embedding=embeds)

    def to_be_saved(self) -> tuple[dict[str, Any], str]:
        """What :meth:`save` writes: the checkpoint, and the folder of the tokenizer or 'clip'.

        Raises:
            ValueError: the model is not of this package's own parts.
            FileNotFoundError: the tokenizer is not CLIP's, and its files are not known.
        """
        cfg = self.inferencer.cfg
        pipeline = clip_transforms(cfg)
        written = Config(dict(model=without_lora(cfg.model),
                              test_dataloader=dict(dataset=dict(pipeline=pipeline))))
        neck = self.model.neck
        tokenizer = 'clip' if neck is None else self.inferencer.tokenizer_folder
        if neck is not None and tokenizer != 'clip':
            neck.take_tokenizer(name_of(tokenizer))
        content = dict(state_dict=self.model.state_dict(), meta=dict(cfg=written.pretty_text))
        try:
            config_of_checkpoint(content, self.checkpoint)
        except ValueError as error:
            raise ValueError(
                f'the model of {self.checkpoint} cannot be saved as a folder of '
                f'sentence-transformers, as not all of it is of this package: '
                f'{error.__cause__ or error}. Keep {self.checkpoint}, of which '
                'sentence_transformer() makes it again') from error
        return content, tokenizer

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write the options, a checkpoint that tells its model, and the files of its tokenizer.

        Raises:
            ValueError, FileNotFoundError: as of :meth:`to_be_saved`.
        """
        content, tokenizer = self.to_be_saved()
        copy_tokenizer(tokenizer, output_path)
        save_whole(content, Path(output_path, WEIGHTS))
        self.save_config(output_path)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = '', token: bool | str | None = None,
             cache_folder: str | None = None, revision: str | None = None,
             local_files_only: bool = False, model_kwargs: Mapping[str, Any] | None = None,
             **_: Any) -> 'VideoTextModule':
        """Read what :meth:`save` wrote.

        ``model_kwargs`` are arguments of this class; ``torch_dtype`` is the library's older name of
        ``dtype``, and 'auto' what was saved.

        Raises:
            FileNotFoundError: it is not there.
        """
        place: dict[str, Any] = dict(
            subfolder=subfolder, token=token, cache_folder=cache_folder, revision=revision,
            local_files_only=local_files_only)
        folder = cls.load_dir_path(model_name_or_path, **place)  # whole, for the tokenizer
        file = Path(folder or subfolder, WEIGHTS)
        if not file.is_file():
            raise FileNotFoundError(f'{model_name_or_path} has no {file}')
        given = dict(model_kwargs or {})
        dtype = given.pop('torch_dtype', None) or given.pop('dtype', None)
        if dtype not in (None, 'auto'):
            given['dtype'] = dtype
        return cls(file, **cls.load_config(model_name_or_path, **place) | given)

    def _apply(self, fn: Any, recurse: bool = True) -> 'VideoTextModule':
        super()._apply(fn, recurse)
        self.model.to(self.inferencer.device)  # mmengine tells a data preprocessor here alone
        own = next(self.model.parameters()).dtype
        self.inferencer.dtype = own if own in _NARROW else getattr(torch, self.dtype)
        return self


def _parts(given: Any, prompt: str) -> dict[str, Any]:
    """What of an input is 'text', and what 'video'."""
    if not isinstance(given, dict):
        given = {'video' if _is_video(given) else 'text': given}
    if not given or given.keys() - {'text', 'video'}:
        raise ValueError('an input is a text, a video, or dict(text=..., video=...), not a dict '
                         f'with {", ".join(map(str, given)) or "nothing"}')
    parts = dict(given)
    if 'text' in parts:
        if not isinstance(parts['text'], str):
            raise ValueError('an input is a text, or the path, bytes or frames of a video, not a '
                             f'{type(parts["text"]).__name__}')
        parts['text'] = prompt + parts['text']
    if 'video' in parts:
        parts['video'] = _as_video(parts['video'])
    return parts


def _is_video(given: Any) -> bool:
    if not isinstance(given, str):
        return isinstance(given, os.PathLike | bytes | np.ndarray | torch.Tensor)
    suffix = os.path.splitext(given)[1].lower()
    # The dot alone, with which names of DiDeMo end, ends sentences too.
    return suffix in VIDEO_SUFFIXES - {'.'} and (
        not any(map(str.isspace, given)) or os.path.isfile(given))


def _as_video(given: Any) -> Video:
    """Frames in the order of axes that the inferencer takes."""
    if isinstance(given, torch.Tensor):
        given = given.cpu().numpy()
    if isinstance(given, np.ndarray) and given.ndim == 4 and given.shape[-1] != 3 == given.shape[1]:
        given = given.transpose(0, 2, 3, 1)
    return cast(Video, given)
