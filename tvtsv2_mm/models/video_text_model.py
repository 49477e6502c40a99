"""The algorithm: video encoder, partly frozen text encoder and heads (TVTSv2 figure 2)."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from torch import Tensor

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.convert import fit_weights
from tvtsv2_mm.checkpoints.description import RECORD, describe
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.tokenizer import Vocabulary, check_reads

from .data_preprocessor import VideoTextDataPreprocessor
from .micro_batches import Encoded, encode_in_micro_batches
from .pretrained_part import PretrainedPart


@MODELS.register_module()
class VideoTextModel(BaseModel):
    """TVTSv2 from its parts, each given by config.

    Shapes: B clips, T frames, K texts of a clip, L tokens, E embedding width.

    Args:
        backbone: video encoder; see :class:`.VideoBackbone`.
        neck: text encoder; may be left out where no text is read (linear probe).
        contrastive_head: video-text contrast, for training.
        sorting_head: transcript sorting; used where a sample has more than one text.
        cls_head: classes of a video: ZeroShotHead or LinearProbeHead.
        data_preprocessor: batches to the device. One that says no ``mean`` and ``std`` takes the
            backbone's, where that knows them.
        micro_batch_size: in training, encode so many samples of a rank's batch at a time and
            compute them again in the backward: memory for the activations of so many samples,
            the loss of the whole batch. None encodes all at once. See
            :func:`~tvtsv2_mm.models.micro_batches.encode_in_micro_batches`.
        interpolate_positions: resize the position tables of a checkpoint to this model's number of
            patches and frames when weights are loaded; otherwise other sizes are an error.
        init_cfg: mmengine's initialisation config. ``dict(type='Pretrained', checkpoint=...)``
            takes every checkpoint layout that :mod:`tvtsv2_mm.checkpoints` knows.
    """

    def __init__(self,
                 *,
                 backbone: dict,
                 neck: dict | None = None,
                 contrastive_head: dict | None = None,
                 sorting_head: dict | None = None,
                 cls_head: dict | None = None,
                 data_preprocessor: dict | None = None,
                 micro_batch_size: int | None = None,
                 interpolate_positions: bool = False,
                 init_cfg: dict | list[dict] | None = None) -> None:
        encoder = MODELS.build(backbone)
        # Built here, by the registry of the other parts: the base class takes the root's.
        super().__init__(data_preprocessor and MODELS.build(
            with_pixels(data_preprocessor, getattr(encoder, 'pixels', None))), init_cfg)
        if micro_batch_size is not None and micro_batch_size < 1:
            raise ValueError('micro_batch_size must be at least 1, or None for the whole batch, '
                             f'not {micro_batch_size!r}')
        self.micro_batch_size = micro_batch_size
        self.interpolate_positions = interpolate_positions
        self.backbone = encoder
        self.neck: Any = neck and MODELS.build(neck)
        if isinstance(self.data_preprocessor, VideoTextDataPreprocessor):
            self.data_preprocessor.longest_text = getattr(self.neck, 'longest_text', None)
        self.contrastive_head: Any = contrastive_head and MODELS.build(contrastive_head)
        self.sorting_head: Any = sorting_head and MODELS.build(sorting_head)
        self.cls_head: Any = cls_head and MODELS.build(cls_head)
        widths = {name: getattr(getattr(self, name), 'embed_dim', None)
                  for name in ('backbone', 'neck', 'sorting_head', 'cls_head')}
        widths = {name: width for name, width in widths.items() if width is not None}
        if len(set(widths.values())) > 1:
            raise ValueError('embed_dim must be the same in all parts: ' + ', '.join(
                f'{name}.embed_dim={width}' for name, width in widths.items()))
        if getattr(self.cls_head, 'reads_tokens', False) and not hasattr(
                self.backbone, 'condition_texts'):
            raise ValueError(
                f'model.cls_head ({type(self.cls_head).__name__}) has texts read anew for each '
                f'video, which model.backbone ({type(self.backbone).__name__}) cannot do: take '
                'ZeroShotHead, or XClipBackbone')
        # What the last loading of weights took, and what not; see to_own_layout.
        self.load_report: dict | None = None
        # Whether a loss was asked for since: weights may be others now.
        self.has_learnt = False
        self._register_state_dict_hook(_record_description)

    def forward(self,
                inputs: Mapping[str, Tensor],
                data_samples: Sequence[ActionDataSample] | None = None,
                mode: str = 'tensor') -> dict[str, Any] | Sequence[ActionDataSample]:
        """Run the model.

        Args:
            inputs: ``video`` (B, T, 3, H, W), normalised, or its kept patches
                (B, T, P', 3, p, p); mode 'tensor' does without. Optionally ``tokens`` (B, K, L), or
                a list of B tensors (K_i, L) where the numbers differ (prediction only); optionally
                ``kept_patches`` (B, P').
            data_samples: B samples.
            mode: 'loss', 'predict' or 'tensor', as everywhere in OpenMMLab.
        """
        made = {sample.get('vocabulary', Vocabulary('clip')) for sample in data_samples or ()
                if 'num_cut_texts' in sample}  # by TokenizeText
        for vocabulary in made:
            check_reads(self.neck, vocabulary, 'TokenizeText.tokenizer')
            if isinstance(self.neck, PretrainedPart):
                self.neck.take_tokenizer(vocabulary.name)  # for the checkpoints of this training
        if mode in ('loss', 'predict'):
            return getattr(self, mode)(inputs, data_samples)
        if mode == 'tensor':
            return self._forward(inputs)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', not {mode!r}")

    def encode_video(self, inputs: Mapping[str, Any],
                     class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Embeddings (B, E) and tokens (B, N, E) of the clips, not l2-normalised.

        With ``class_only`` the tokens are None, and what only they need is not computed.
        """
        return self.backbone(inputs['video'], inputs.get('kept_patches'), class_only)

    def encode_views(self, inputs: Mapping[str, Tensor],
                     data_samples: Sequence[ActionDataSample],
                     class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode videos of which the samples' ``num_views`` (V) clips and crops are to be averaged.

        The views come one after the other in ``video`` (B, V * T, 3, H, W).

        Returns:
            Embeddings (B, V, E), as the heads were trained on them, not l2-normalised; tokens of
            each view (B, V, N, E), or None. What is averaged over the views is for the head to say.
        """
        views = data_samples[0].get('num_views', 1)
        video, patches = inputs['video'], inputs.get('kept_patches')
        parts = dict(
            video=video.unflatten(1, (views, video.shape[1] // views)).flatten(0, 1),
            kept_patches=None if patches is None else patches.repeat_interleave(views, dim=0))
        embeds, tokens = self.encode_video(parts, class_only)
        return (embeds.unflatten(0, (-1, views)),
                None if tokens is None else tokens.unflatten(0, (-1, views)))

    def encode_text(self, tokens: Tensor, padded: bool = True) -> Tensor:
        """Embed texts: (..., L) -> (..., E), not l2-normalised.

        ``padded``: whether there may be padding to cut, see BaseTextEncoder.
        """
        if self.neck is None:
            raise ValueError('texts cannot be encoded: the model config has no neck')
        if not self.training:
            self._check_texts()
        return self.neck(tokens.flatten(0, -2), padded).unflatten(0, tokens.shape[:-1])

    def loss(self, inputs: Mapping[str, Tensor],
             data_samples: Sequence[ActionDataSample]) -> dict[str, Tensor]:
        """Losses of every head that has something to learn from the batch."""
        if self.micro_batch_size is None:
            video_embeds, text_embeds, means = self._encode(inputs)
        else:
            video_embeds, text_embeds, means = encode_in_micro_batches(
                self._encode, inputs, self.micro_batch_size)
        losses: dict[str, Tensor] = {}
        if text_embeds is not None:  # there is a contrastive head
            losses.update(self.contrastive_head.loss(video_embeds, text_embeds), **means)
            if self.sorting_head is not None and text_embeds.shape[1] == 1:
                losses['loss_contrastive'] = losses['loss_contrastive'] + self.sorting_head.idle()
        if hasattr(self.cls_head, 'loss'):
            losses.update(self.cls_head.loss(video_embeds, data_samples))
        self.has_learnt = True
        if not losses:
            raise ValueError('nothing to train: give the model a contrastive_head or a cls_head '
                             'that learns')
        return losses

    def _encode(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """What the loss needs of each sample alone: embeddings, and the losses that are means."""
        if self.contrastive_head is None:
            return self.encode_video(inputs, class_only=True)[0], None, {}
        sorts = self.sorting_head is not None and inputs['tokens'].shape[1] > 1
        video_embeds, video_tokens = self.encode_video(inputs, class_only=not sorts)
        # The data preprocessor has cut them.
        text_embeds = self.encode_text(inputs['tokens'], padded=False)
        means = self.sorting_head.loss(
            self._tokens_to_sort(video_tokens), text_embeds) if sorts else {}
        return video_embeds, text_embeds, means

    def _tokens_to_sort(self, video_tokens: Tensor | None) -> Tensor:
        if video_tokens is None:
            name = getattr(self.backbone, 'kind', type(self.backbone).__name__)
            raise ValueError(
                f'the sorting_head reads tokens of the video (B, N, E), and the backbone {name} '
                'returns none, but embeddings alone: take a backbone that returns a map or tokens '
                "(of mmpretrain's ViTs: out_type='raw'), or sorting_head=None")
        return video_tokens

    def _check_texts(self) -> None:
        """Refuse to compare videos and texts by random weights.

        Raises:
            CheckpointError: the weights loaded last (of a model of MMAction2) lack the text encoder
                or the projection into the joint space, and no loss came after.
        """
        if self.load_report is None or self.has_learnt:
            return
        random = [part for part in ('neck', 'backbone.projection')
                  if any(key.startswith(f'{part}.') for key in self.load_report.get('new', ()))]
        if random:
            raise CheckpointError(
                f'the checkpoint has no trained {" and no ".join(random)}, so that what texts and '
                'videos have in common would be random: train them (tools/train.py, '
                'load_from=CHECKPOINT), and test what that writes')

    @property
    def untrained_heads(self) -> set[str]:
        """Heads with random weights: the weights loaded last lack them, and no loss came after."""
        if self.load_report is None or self.has_learnt:
            return set()
        parts = {key.split('.')[0] for key in self.load_report.get('new', ())}
        return parts & {'sorting_head', 'cls_head'}

    def predict(self, inputs: Mapping[str, Tensor],
                data_samples: Sequence[ActionDataSample]) -> Sequence[ActionDataSample]:
        """Write what evaluation reads into the data samples.

        ``video_embed`` (E,) and, where there are texts, ``text_embeds`` (K, E), both l2-normalised;
        ``order_logits`` (K, K) where a sorting head meets more than one text; ``pred_score`` (C,)
        and ``pred_label`` where there is a cls_head. Averaged over several views are the
        l2-normalised embeddings (for a cls_head that learns: what it learns from) and the
        ``order_logits``, so that equal views change nothing.

        Raises:
            CheckpointError: the cls_head is one of :attr:`untrained_heads`, or there are texts and
                the weights loaded last lack their encoder.
        """
        if 'cls_head' in self.untrained_heads:
            raise CheckpointError(
                'the checkpoint has no trained cls_head, so that its scores would be random: train '
                'it (tools/train.py, load_from=CHECKPOINT), and test what that writes')
        counts = {len(own) for own in inputs.get('tokens', ())}
        sorts = self.sorting_head is not None and counts == {self.sorting_head.num_transcripts}
        if sorts and 'sorting_head' in self.untrained_heads:
            warnings.warn('the checkpoint has no trained sorting_head: what it sorts is sorted at '
                          'random', stacklevel=2)
        conditions = getattr(self.cls_head, 'reads_tokens', False)
        view_embeds, view_tokens = self.encode_views(
            inputs, data_samples, class_only=not (sorts or conditions))
        directions = F.normalize(view_embeds.float(), dim=-1).mean(dim=1)
        for sample, embed in zip(data_samples, F.normalize(directions, dim=-1), strict=True):
            sample.video_embed = embed
        if 'tokens' in inputs:
            self._predict_texts(inputs['tokens'], view_tokens, data_samples, sorts)
        if self.cls_head is not None:
            # A head that learns has learnt from embeddings of any length.
            learns = hasattr(self.cls_head, 'loss')
            embeds = view_embeds.mean(dim=1) if learns else directions
            if not learns:
                self._check_texts()
            # The neck alone: what the texts' embeddings depend on.
            encode_text = self.encode_text if self.neck is None else self.neck
            scores = (self.cls_head.predict_views(
                view_embeds, view_tokens, encode_text, self.backbone.condition_texts)
                if conditions else self.cls_head.predict(embeds, encode_text)).float()
            for sample, score in zip(data_samples, scores, strict=True):
                sample.set_pred_score(score).set_pred_label(score.argmax().item())
        return data_samples

    def _predict_texts(self, tokens: Tensor | Sequence[Tensor], view_tokens: Tensor | None,
                       data_samples: Sequence[ActionDataSample], sorts: bool) -> None:
        counts = [len(own) for own in tokens]
        text_embeds = self.encode_text(torch.cat(list(tokens))).split(counts)
        for sample, own in zip(data_samples, text_embeds, strict=True):
            sample.text_embeds = F.normalize(own.float(), dim=-1)
        if sorts:
            view_tokens = self._tokens_to_sort(view_tokens)
            # Each view by itself: the head was trained on the tokens of one.
            texts = torch.stack(text_embeds).repeat_interleave(view_tokens.shape[1], dim=0)
            order_logits = self.sorting_head(view_tokens.flatten(0, 1), texts).float()
            for sample, logits in zip(
                    data_samples, order_logits.unflatten(0, view_tokens.shape[:2]), strict=True):
                sample.order_logits = logits.mean(dim=0)

    def _forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        """Raw outputs: video_embeds (B, E), video_tokens (B, N, E), text_embeds (B, K, E), ..."""
        if 'video' not in inputs:
            return dict(text_embeds=self.encode_text(inputs['tokens']))
        video_embeds, video_tokens = self.encode_video(inputs)
        outputs = dict(video_embeds=video_embeds, video_tokens=video_tokens)
        if 'tokens' in inputs:
            outputs['text_embeds'] = self.encode_text(inputs['tokens'])
            if self.sorting_head is not None and inputs['tokens'].shape[1] > 1:
                outputs['order_logits'] = self.sorting_head(
                    self._tokens_to_sort(video_tokens), outputs['text_embeds'])
        return outputs

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str,
                              local_metadata: dict, *args) -> None:
        """Accept foreign layouts wherever weights are loaded (load_from, init_cfg, torch).

        mmengine only warns of keys and sizes that do not match; here they are errors, and so are
        weights that are told to be of a model that gives other numbers.
        """
        self.has_learnt = False
        given = {key.removeprefix(prefix): state_dict.pop(key) for key in list(state_dict)
                 if key.startswith(prefix)}
        report, own = {}, self.state_dict()
        self.load_report = report
        learns_scale = any(key.startswith('contrastive_head.') for key in own)
        converted = fit_weights(
            given, own, describe(self), metadata=local_metadata,
            interpolate_positions=self.interpolate_positions, report=report,
            temperature=None if learns_scale else getattr(
                self.contrastive_head, 'temperature', None))
        if isinstance(self.neck, PretrainedPart):
            self.neck.take_tokenizer(report.get('tokenizer'))
        state_dict.update({prefix + key: value for key, value in converted.items()})
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def with_pixels(data_preprocessor: dict, pixels: Mapping[str, Any] | None) -> dict:
    """The preprocessor's config with the pixels of a backbone, where it does not say its own."""
    if not pixels:
        return data_preprocessor
    told = {key: tuple(data_preprocessor[key]) for key in pixels if key in data_preprocessor}
    other = {key: value for key, value in told.items() if value != tuple(pixels[key])}
    if other:
        warnings.warn(f'data_preprocessor has {other}, but the backbone was trained with {pixels}: '
                      'leave them out, if that is not meant', stacklevel=2)
    return {**pixels, **data_preprocessor}


def _record_description(model: VideoTextModel, state_dict: dict, prefix: str,
                        local_metadata: dict) -> None:
    """State dict hook: what no tensor tells goes with the weights, where torch keeps versions."""
    local_metadata[RECORD] = describe(model).record()
