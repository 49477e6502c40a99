"""A trained model on videos, from Python: features, labels, search, order."""

import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.fileio import get_file_backend
from mmengine.infer import BaseInferencer
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import _load_checkpoint, _load_checkpoint_to_model
from rich.progress import track
from torch import nn

from tvtsv2_mm.apis.clips import (
    ClipBatch,
    ClipSource,
    Failure,
    Video,
    VideoError,
    clip_transforms,
    iterate_clips,
    list_videos,
)
from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model
from tvtsv2_mm.apis.launch.library_models import config_of_folder
from tvtsv2_mm.apis.launch.runs import load_config
from tvtsv2_mm.apis.windows import Windows, WindowSource
from tvtsv2_mm.checkpoints.files import load_from_disk
from tvtsv2_mm.checkpoints.lora import without_lora
from tvtsv2_mm.checkpoints.model_config import RECOGNIZER, config_of_checkpoint
from tvtsv2_mm.checkpoints.published import locate
from tvtsv2_mm.choices import DTYPES
from tvtsv2_mm.datasets.transforms import SampleClipFrames
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.registry import INFERENCERS, MODELS
from tvtsv2_mm.utils.config_errors import config_errors
from tvtsv2_mm.utils.errors import shortened
from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer
from tvtsv2_mm.utils.randomness import without_drawing
from tvtsv2_mm.utils.tokenizer import TextTokenizer, check_reads
from tvtsv2_mm.utils.tokenizer_files import FOLDER, find_tokenizer
from tvtsv2_mm.video.base_reader import VideoReader

TASKS = ('features', 'zero-shot', 'retrieval', 'sort')
NOT_FINITE = 'the weights hold NaN, or the dtype is too narrow for them'


@INFERENCERS.register_module()
class TVTSv2Inferencer(BaseInferencer):
    """Embed, label, find and order videos.

    Examples:
        >>> infer = TVTSv2Inferencer(weights='TVTSv2_ViT_B_16.pth')  # doctest: +SKIP
        >>> infer('videos/')['predictions'][0]['features'].shape  # doctest: +SKIP
        (512,)
        >>> infer('a.mp4', task='zero-shot', labels=['a cat', 'a dog'])  # doctest: +SKIP

    Args:
        model: config file, config, or name in the model index. None takes the config that a
            checkpoint of this package carries, finds the published size of a TVTSv2 release, or
            lets transformers run the model in whose folder the weights are.
        weights: checkpoint of any layout that this package reads: file, folder or address, or a
            name (:mod:`~tvtsv2_mm.checkpoints.published`), by which it is fetched.
        device: 'cpu', 'cuda', 'cuda:1', ...; None takes a GPU where there is one.
        dtype: 'float32', 'float16' or 'bfloat16'; the last two by autocast. Results are float32.
        texts_only: build the text encoder alone, for ``embed_texts`` and ``embed_labels``.
        clips: 'protocol' shows the model what its evaluation does, 'feature-script' what the
            release's script for features does (see :func:`~tvtsv2_mm.apis.clips.clip_transforms`).
        frames: 'shuffled', 'reversed', 'single' or 'constant' instead of all chosen frames in
            order ('natural'), to see how much the model knows of time (see
            :class:`~tvtsv2_mm.datasets.transforms.SampleClipFrames`); None takes what the config
            says.
        fps: frames a second that are taken, from the middle of a video or window; None takes as
            many as the model does, one of each equal interval.
        tokenizer: folder with the ``tokenizer.json`` by which texts become tokens, where the model
            does not read CLIP's; None takes the config's, or the one beside the weights.
        scope: registry scope.
        show_progress: draw a progress bar.
    """

    def __init__(self,
                 model: str | dict | None = None,
                 weights: str | None = None,
                 *,
                 device: str | None = None,
                 dtype: str = 'float32',
                 texts_only: bool = False,
                 clips: str = 'protocol',
                 frames: str | None = None,
                 fps: float | None = None,
                 tokenizer: str | os.PathLike | None = None,
                 scope: str | None = 'tvtsv2_mm',
                 show_progress: bool = True) -> None:
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {DTYPES}, not {dtype!r}')
        if device is not None:
            try:
                torch.empty(0, device=device)
            except (AssertionError, RuntimeError) as error:  # torch's, by what it was built with
                raise ValueError(f'device {device} cannot be used: {shortened(str(error))}'
                                 ) from error
        if weights is not None:
            weights = locate(weights)
        if isinstance(model, os.PathLike):
            model = os.fspath(model)
        if isinstance(model, str) and Path(model).suffix:
            model = load_config(model)
            model.load_from = weights
            fit_to_model(model)
        elif model is None and weights is not None:
            model = config_of_folder(weights)
            if model is not None:
                fit_to_model(model)
        self.dtype = getattr(torch, dtype)
        self.texts_only = texts_only
        self.clips = clips
        self.frames = frames
        self.fps = fps
        self.tokenizer = tokenizer
        super().__init__(model, weights, device, scope, show_progress)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def num_frames(self) -> int:
        """Frames that are taken of a video or window."""
        [sampling] = [step for step in self.pipeline if step['type'] == 'SampleClipFrames']
        return sampling.get('num_frames', SampleClipFrames.num_frames)

    @property
    def usual_batch_size(self) -> int:
        """Clips at once. A CPU gains nothing from more, and takes time and memory for them."""
        return 2 if self.device.type == 'cpu' else 8

    def __call__(self,
                 inputs: Video | Sequence[Video],
                 *,
                 task: str = 'features',
                 labels: Sequence[str] = (),
                 prompts: Sequence[str] = ('{}', ),
                 texts: Sequence[str] = (),
                 transcripts: Sequence[str] | Sequence[Sequence[str]] = (),
                 top_k: int = 5,
                 batch_size: int | None = None,
                 num_workers: int = 0,
                 skip_failed: bool = False,
                 draw: bool = False,
                 out_dir: str | os.PathLike | None = None,
                 return_datasamples: bool = False) -> dict[str, Any]:
        """Run a task on videos.

        Args:
            inputs: a path, a folder (all videos below it), an address (``file://``, ``http://`` and
                what else mmengine.fileio reads), the bytes of a file, an array uint8 (T, H, W, 3)
                in RGB, or a list of them.
            task: 'features', 'zero-shot', 'retrieval' or 'sort'.
            labels: zero-shot: the classes.
            prompts: zero-shot: templates with one ``{}`` for the label; their embeddings are
                averaged. The paper's is 'a person {}'.
            texts: retrieval: what to look for.
            transcripts: sort: K texts for all videos, or K for each video.
            top_k: how many labels of a video, or videos of a text, are returned and drawn.
            batch_size: clips at once; None takes the ``usual_batch_size``.
            num_workers: decoding processes; 0 decodes in this one.
            skip_failed: list videos that cannot be read under 'failed' instead of raising.
            draw: make pictures (not for 'features').
            out_dir: folder to write the pictures to; implies ``draw``.
            return_datasamples: 'predictions' are the ActionDataSamples of the videos.

        Returns:
            ``predictions``, one dict a video (retrieval: a text):

            - features: ``video``, ``features`` float32 (E,), l2-normalised
            - zero-shot: ``video``, ``labels`` best first, ``scores`` (cosines), ``probabilities``
              (softmax over all labels at the training temperature)
            - retrieval: ``text``, ``videos`` best first, ``scores``
            - sort: ``video``, ``order`` (indices of the transcripts in time), ``transcripts`` in
              that order, ``logits`` float32 (K, K)

            ``visualization``: RGB arrays, one a prediction, or None. ``failed``: dicts ``video``
            and ``reason``. retrieval: ``similarity`` float32 (videos, texts) and its ``videos``.

        Raises:
            ValueError: the arguments do not fit the task, or the model lacks what it needs.
            VideoError: a video cannot be read, without ``skip_failed``.
        """
        self._check(task, labels, prompts, texts, top_k)
        draw = (draw or out_dir is not None) and task != 'features'
        videos = self._inputs_to_list(inputs)
        own_texts = self._transcripts(transcripts, len(videos)) if task == 'sort' else None
        samples: list[ActionDataSample] = []
        failed: list[Failure] = []
        batches = self.preprocess(videos, batch_size, texts=own_texts, num_workers=num_workers)
        for batch in track(batches, description=task, disable=not self.show_progress):
            own, failures = self.predict(batch, keep_frames=draw)
            if failures and not skip_failed:
                raise VideoError(f'{failures[0].video}: {failures[0].reason}')
            failed += failures
            samples += own
        result: dict[str, Any] = dict(failed=[vars(failure) for failure in failed])
        if task == 'features':
            result['predictions'] = [
                dict(video=sample.filename, features=sample.video_embed.numpy())
                for sample in samples]
        elif task == 'zero-shot':
            result['predictions'] = self._labels(samples, labels, prompts, top_k)
        elif task == 'sort':
            result['predictions'] = self._orders(samples)
        else:
            result |= self._search(samples, texts, top_k)
        result['visualization'] = self.visualize(samples, result['predictions'], task=task,
                                                 out_dir=out_dir) if draw else None
        return self.postprocess(samples, result, return_datasamples)

    def preprocess(self, inputs: Sequence[Video], batch_size: int | None = None, *,
                   texts: Sequence[Sequence[str]] | None = None,
                   names: Sequence[str] | None = None,
                   windows: Windows | None = None,
                   num_workers: int = 0) -> Iterable[ClipBatch]:
        """Decode and collate: a clip of each video, or its windows."""
        source = WindowSource(inputs, self.pipeline, windows, names) if windows else ClipSource(
            inputs, self.pipeline, texts, self._tokenizer if texts else None, names)
        return iterate_clips(
            source, batch_size=self.usual_batch_size if batch_size is None else batch_size,
            num_workers=num_workers)

    def predict(self, batch: ClipBatch, *,
                keep_frames: bool = False) -> tuple[list[ActionDataSample], list[Failure]]:
        """Run the model on what could be read; what it makes no numbers of has failed as well.

        Sorting would rank NaN as if it were a number.
        """
        whole, failures = [], list(batch.failures)
        for sample in () if batch.data is None else self.forward(
                batch.data, names=batch.names, keep_frames=keep_frames):
            values = [sample.video_embed, sample.get('order_logits')]
            if all(value is None or value.isfinite().all() for value in values):
                whole.append(sample)
            else:
                failures.append(Failure(
                    video=sample.filename, reason=f'its embedding is not finite: {NOT_FINITE}'))
        return whole, failures

    @torch.inference_mode()
    def forward(self, inputs: dict, *, names: Sequence[str],
                keep_frames: bool = False) -> list[ActionDataSample]:
        """Run the model; the samples come back on the CPU."""
        with self.autocast():
            samples = self.model.test_step(inputs)
        samples = [sample.cpu() for sample in samples]
        for sample, name, video in zip(samples, names, inputs['inputs']['video'], strict=True):
            sample.set_metainfo(dict(filename=name))
            if keep_frames:
                sample.set_field(video.permute(0, 2, 3, 1).cpu().numpy(), 'frames')
        return samples

    def autocast(self) -> torch.autocast:
        """The precision that was asked for."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def embed_videos(self, videos: Sequence[Video], batch_size: int | None = None,
                     num_workers: int = 0) -> np.ndarray:
        """Embed videos, each read when its turn comes: float32 (N, E), l2-normalised.

        Raises:
            ValueError: there is none.
            VideoError: one cannot be read.
        """
        predictions = self(videos, batch_size=batch_size, num_workers=num_workers)['predictions']
        return np.array([prediction['features'] for prediction in predictions])

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Embed texts: N of them give float32 (N, E), l2-normalised.

        Raises:
            ValueError: the model reads none, or one of them is no Unicode.
        """
        if self.model.neck is None:
            raise ValueError('texts cannot be encoded: the model config has no neck')
        check_unicode(texts)
        tokens = self._tokenizer(texts).to(self.device)
        with self.autocast():
            embeds = [self.model.encode_text(part) for part in tokens.split(batch_size)]
        embeds = F.normalize(torch.cat(embeds).float(), dim=-1).cpu()
        if not embeds.isfinite().all():
            raise ValueError(f'embeddings of texts are not finite: {NOT_FINITE}')
        return embeds.numpy()

    def embed_labels(self, labels: Sequence[str], prompts: Sequence[str] = ('{}', )) -> np.ndarray:
        """Embed classes: the normalised mean over the prompts, float32 (C, E)."""
        texts = [prompt.replace('{}', label) for label in labels for prompt in prompts]
        embeds = self.embed_texts(texts).reshape(len(labels), len(prompts), -1).mean(axis=1)
        return embeds / np.linalg.norm(embeds, axis=-1, keepdims=True)

    def visualize(self, inputs: Sequence[ActionDataSample], preds: Sequence[dict], *,
                  task: str, out_dir: str | os.PathLike | None = None) -> list[np.ndarray]:
        """Draw a picture for each prediction, into ``out_dir`` as ``000_<name>.png`` too.

        The ``inputs`` are samples with ``frames``.
        """
        from tvtsv2_mm.apis import pictures  # who draws nothing needs no matplotlib
        if task == 'retrieval':
            frames = {sample.filename: sample.frames for sample in inputs}
            images = [pictures.draw_search(frames, prediction) for prediction in preds]
        else:
            draw = pictures.draw_order if task == 'sort' else pictures.draw_labels
            images = [draw(sample.frames, prediction)
                      for sample, prediction in zip(inputs, preds, strict=True)]
        if out_dir is not None:
            for i, (image, prediction) in enumerate(zip(images, preds, strict=True)):
                stem = Path(prediction['video']).stem if 'video' in prediction else 'text'
                pictures.write_png(Path(out_dir, f'{i:03d}_{stem}.png'), image)
        return images

    def postprocess(self, preds: list[ActionDataSample], visualization: dict[str, Any],
                    return_datasamples: bool = False) -> dict[str, Any]:
        """Hand the samples over instead of the dicts where that is asked."""
        return visualization | dict(predictions=preds) if return_datasamples else visualization

    @config_errors()
    def _init_model(self, cfg: ConfigDict, weights: str | None, device: str = 'cpu') -> nn.Module:
        checkpoint: Any = None
        if weights is not None:
            # Of a file here, each tensor is read when it is copied into the model.
            is_here = Path(weights).expanduser().exists()
            checkpoint = (load_from_disk(weights, mmap=True) if is_here else
                          _load_checkpoint(os.fspath(weights), map_location='cpu'))
            if not cfg:
                cfg.update(config_of_checkpoint(checkpoint, os.fspath(weights)))
        if cfg.get('model') is None:
            raise ValueError('the config has no model')
        if self.texts_only and cfg.model.get('neck') is None:
            raise ValueError('texts cannot be encoded: the model config has no neck')
        kind = cfg.model.get('type')
        if isinstance(kind, str) and kind.rpartition('.')[2] == RECOGNIZER:
            raise ValueError(f'the config is of a {RECOGNIZER} of MMAction2: leave it out, as its '
                             'checkpoint tells what its video encoder is')
        if checkpoint is None:
            raise ValueError('weights are needed: give a checkpoint')
        # Classes come with the call, and the sizes of another data set's head do not matter.
        parts = dict(without_lora(cfg.model), cls_head=None)
        with DefaultScope.overwrite_default_scope('tvtsv2_mm'), warnings.catch_warnings():
            if self.texts_only:
                # Without memory and initial values, so that the whole checkpoint is checked.
                warnings.filterwarnings('ignore', message='.*non-meta parameter')
                with torch.device('meta'):
                    model = MODELS.build(dict(parts, neck=None))
                # What models of others load need not be all of it.
                with without_drawing() if isinstance(model, VideoTextModel) else nullcontext():
                    model.neck = MODELS.build(parts['neck'])
            else:
                with without_drawing():
                    model = MODELS.build(parts)
                if not isinstance(model, VideoTextModel):
                    model = MODELS.build(parts)
            _load_checkpoint_to_model(model, checkpoint)
            own = model.state_dict()
            # What the checkpoint does not give begins as it should.
            new = [key for key in (getattr(model, 'load_report', None) or {}).get('new', ())
                   if not own[key].is_meta]
            if new:
                drawn = MODELS.build(parts).state_dict()
                for key in new:
                    own[key].copy_(drawn[key])
        self._beside = None if weights is None else os.fspath(weights)
        self.tokenizer = self.tokenizer or cfg.get('tokenizer')
        if self.texts_only:
            model.backbone = model.contrastive_head = model.sorting_head = None
            model.data_preprocessor = None
        return model.to(device).eval()

    def _init_pipeline(self, cfg: ConfigDict) -> list[dict]:
        return clip_transforms(cfg, self.clips, self.frames, self.fps)

    def _init_collate(self, cfg: ConfigDict) -> None:
        """:func:`~tvtsv2_mm.apis.clips.iterate_clips` collates: failures travel beside clips."""

    def _init_visualizer(self, cfg: ConfigDict) -> None:
        """Pictures are drawn by :mod:`tvtsv2_mm.apis.pictures`, not by an mmengine visualizer."""

    def _inputs_to_list(self, inputs: Video | Sequence[Video]) -> Sequence[Video]:
        if isinstance(inputs, np.ndarray | bytes | VideoReader):
            inputs = [inputs]
        elif isinstance(inputs, str | os.PathLike):
            path = os.fspath(inputs)
            backend = get_file_backend(path)
            is_folder = hasattr(backend, 'isdir') and '://' not in path and backend.isdir(path)
            inputs = [os.path.join(path, name) for name in list_videos(path)] if is_folder else [
                path]
        if not isinstance(inputs, Sequence):  # a sequence may hold more than the memory does
            inputs = list(inputs)
        if not len(inputs):
            raise ValueError('there is no video to look at: the list is empty')
        return inputs

    @property
    def tokenizer_folder(self) -> str:
        """The folder with the files by which texts become tokens; 'clip' for CLIP's own.

        Raises:
            FileNotFoundError: it is not given, and not beside the weights.
        """
        neck = self.model.neck
        # HuggingFaceTextEncoder's folder also says how texts for CLIP's vocabulary are cleaned.
        folder = self.tokenizer or getattr(neck, 'folder', None) or find_tokenizer(
            neck.tokenizer, [self._beside])
        if folder is None:
            raise FileNotFoundError(
                f'this model reads the tokens of {neck.tokenizer!r} (neck.tokenizer), whose '
                f'tokenizer.json is not beside {self._beside}: put it there, or into '
                f'{FOLDER}/{neck.tokenizer} there; in a config, and from Python, '
                'tokenizer=FOLDER names another place')
        return os.fspath(folder)

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        tokenizer = build_tokenizer(self.tokenizer_folder, self.model.neck.context_length)
        check_reads(self.model.neck, tokenizer.vocabulary, 'tokenizer')
        return tokenizer

    def _check(self, task: str, labels: Sequence[str], prompts: Sequence[str],
               texts: Sequence[str], top_k: int) -> None:
        if self.texts_only:
            raise ValueError('this inferencer was made with texts_only: it reads no videos')
        if task not in TASKS:
            raise ValueError(f'task must be one of {TASKS}, not {task!r}')
        if top_k < 1:
            raise ValueError(f'top_k must be at least 1, got {top_k}')
        for name, value in (('labels', labels), ('texts', texts), ('prompts', prompts)):
            if isinstance(value, str):
                raise ValueError(f'{name} must be a list of strings: [{value!r}]')
        if task == 'zero-shot' and not labels:
            raise ValueError("task 'zero-shot' needs labels=[...]")
        if task == 'zero-shot' and len(set(labels)) < len(labels):
            twice = next(label for label in labels if list(labels).count(label) > 1)
            raise ValueError(f'labels has {twice!r} more than once: labels tell videos apart')
        if task == 'zero-shot' and not (prompts and all(p.count('{}') == 1 for p in prompts)):
            raise ValueError('each of prompts must hold exactly one {} for the label, got '
                             f'{list(prompts)}')
        if task == 'retrieval' and not texts:
            raise ValueError("task 'retrieval' needs texts=[...]")
        if task == 'sort' and (self.model.sorting_head is None or self.model.neck is None):
            raise ValueError("task 'sort' needs a model with a sorting_head and a neck: take a "
                             'config and a checkpoint that have them')
        if task == 'sort' and 'sorting_head' in self.model.untrained_heads:
            raise ValueError("task 'sort': the checkpoint has no sorting_head, so that the order "
                             'would be random; take one that has it')

    def _transcripts(self, transcripts: Sequence, num_videos: int) -> list[list[str]]:
        if not transcripts or isinstance(transcripts, str):
            raise ValueError("task 'sort' needs transcripts=[...]: K texts for all videos, or a "
                             'list of K for each')
        one_for_all = isinstance(transcripts[0], str)
        texts = [list(transcripts)] * num_videos if one_for_all else list(map(list, transcripts))
        check_unicode(text for own in texts for text in own)
        if len(texts) != num_videos:
            raise ValueError(f'there are transcripts for {len(texts)} videos, but {num_videos} '
                             'videos: give K texts for all, or a list of K for each')
        expected = self.model.sorting_head.num_transcripts
        for own in texts:
            if len(own) != expected:
                raise ValueError(f"task 'sort': this model sorts {expected} transcripts, got "
                                 f'{len(own)}')
        return texts

    def _labels(self, samples: list[ActionDataSample], labels: Sequence[str],
                prompts: Sequence[str], top_k: int) -> list[dict]:
        class_embeds = self.embed_labels(labels, prompts)
        head = self.model.contrastive_head
        temperature = 0.05 if head is None else head.temperature
        predictions = []
        for sample in samples:
            cosines = class_embeds @ sample.video_embed.numpy()
            shares = np.exp((cosines - cosines.max()) / temperature)
            shares /= shares.sum()
            best = np.argsort(-cosines, kind='stable')[:top_k]
            predictions.append(dict(
                video=sample.filename, labels=[labels[i] for i in best],
                scores=cosines[best].tolist(), probabilities=shares[best].tolist()))
        return predictions

    def _search(self, samples: list[ActionDataSample], texts: Sequence[str],
                top_k: int) -> dict[str, Any]:
        text_embeds = self.embed_texts(texts)
        videos = [sample.filename for sample in samples]
        embeds = np.array([sample.video_embed.numpy() for sample in samples], np.float32)
        similarity = embeds.reshape(len(videos), text_embeds.shape[1]) @ text_embeds.T
        predictions = []
        for text, column in zip(texts, similarity.T, strict=True):
            best = np.argsort(-column, kind='stable')[:top_k]
            predictions.append(dict(text=text, videos=[videos[i] for i in best],
                                    scores=column[best].tolist()))
        return dict(predictions=predictions, similarity=similarity, videos=videos)

    def _orders(self, samples: list[ActionDataSample]) -> list[dict]:
        self._tokenizer.warn_of_cut(sum(sample.num_cut_texts for sample in samples),
                                    sum(len(sample.texts) for sample in samples))
        orders = [best_order(sample.order_logits.numpy()) for sample in samples]
        return [dict(video=sample.filename, order=order,
                     transcripts=[sample.texts[i] for i in order],
                     logits=sample.order_logits.numpy())
                for sample, order in zip(samples, orders, strict=True)]


def check_unicode(texts: Iterable[str]) -> None:
    """Refuse halves of characters, of which tokenizers say that they are no strings.

    Raises:
        ValueError: a text has some.
    """
    for text in texts:
        if isinstance(text, str) and any('\ud800' <= char <= '\udfff' for char in text):
            raise ValueError(f'the text {text[:80]!r} is no Unicode: it holds half of a surrogate '
                             "pair; text.encode('utf-8', 'replace').decode() replaces it")


def best_order(logits: np.ndarray) -> list[int]:
    """Order transcripts by the assignment to positions that has the largest sum of logits.

    Args:
        logits: (K, K), [k, j] that transcript k is the j-th in time.

    Returns:
        K indices: which transcript comes first, second, ...

    Examples:
        >>> best_order(np.array([[0.0, 3.0], [0.1, 2.0]]))
        [1, 0]
    """
    places = range(len(logits))
    return list(max(permutations(places), key=lambda order: sum(
        logits[transcript, place] for place, transcript in enumerate(order))))
