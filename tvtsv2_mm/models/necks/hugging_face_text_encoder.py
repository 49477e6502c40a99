"""The side that reads of a dual encoder of transformers, in the place of ours."""

import torch
from torch import Tensor

from tvtsv2_mm.checkpoints.hugging_face import context_of
from tvtsv2_mm.models.hugging_face_part import HuggingFacePart, features_of
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer

# Types of models that are told what is padding. The others do not look at it (CLIP's attention
# looks back alone; AIMv2's, where it is told something), or were trained with it.
_TOLD_OF_PADDING = ('aimv2', 'align', 'altclip', 'blip', 'chinese_clip', 'videoprism')
# Those whose embedding depends on how much of it there is.
_READ_PADDING = ('siglip', 'siglip2', 'videoprism')


@MODELS.register_module()
class HuggingFaceTextEncoder(HuggingFacePart):
    """``get_text_features`` of a model of transformers, for the tokens of its own tokenizer.

    Args:
        folder: of the model, with its ``tokenizer.json``; see :class:`.HuggingFacePart`.
        context_length: tokens of a text, L; None for as many as the model has positions. One that
            reads padding reads as many in any case.
        frozen: nothing is trained.
        init_cfg: mmengine's initialisation config; 'Pretrained' as in PretrainedPart.

    Attributes:
        tokenizer: whose tokens it reads.

    Raises:
        FileNotFoundError, CheckpointError: see :class:`.HuggingFacePart`.
        ValueError: the model reads texts of another length.
    """

    part = 'neck'

    def __init__(self, *, folder: str | None = None, context_length: int | None = None,
                 frozen: bool = False, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(folder=folder, frozen=frozen, init_cfg=init_cfg)
        positions = context_of(self.folder, self.config)
        self.context_length = context_length or positions
        self.reads_padding = self.config.model_type in _READ_PADDING
        tokenizer = build_tokenizer(str(self.folder.absolute()), positions)
        self.tokenizer = tokenizer.vocabulary.name
        self.vocab_size = self.config.text_config.vocab_size
        self.pad, self.ends_with_pad = tokenizer.pad, tokenizer.pad in tokenizer.end
        self._check_length(self.context_length, 'neck.context_length', positions)

    def forward(self, tokens: Tensor, padded: bool = True) -> Tensor:
        """Encode texts.

        Args:
            tokens: (N, L) token ids, padded as the model's tokenizer pads.
            padded: cut what is read of no text; the embeddings are the same either way.

        Returns:
            (N, E), not l2-normalised.

        Raises:
            ValueError: the texts are longer than the model reads, or shorter and must not be.
        """
        self._check_length(tokens.shape[-1], 'context_length of TokenizeText', self.context_length)
        if padded:
            tokens = tokens[:, :self.longest_text(tokens)]
        told = {}
        if self.config.model_type in _TOLD_OF_PADDING:
            columns = torch.arange(tokens.shape[-1], device=tokens.device)
            told['attention_mask'] = (columns < self._lengths(tokens)[:, None]).long()
        return features_of(self.hf.get_text_features(input_ids=tokens, **told))

    def longest_text(self, tokens: Tensor) -> int:
        """How many columns of token ids (N, L) are read."""
        return tokens.shape[-1] if self.reads_padding else int(self._lengths(tokens).max())

    def _lengths(self, tokens: Tensor) -> Tensor:
        """How many tokens stand before the padding of each text."""
        columns = torch.arange(1, tokens.shape[-1] + 1, device=tokens.device)
        last = ((tokens != self.pad) * columns).amax(dim=-1) + self.ends_with_pad
        return last.clamp(1, tokens.shape[-1])

    def _check_length(self, length: int, option: str, expected: int) -> None:
        if length > expected or (self.reads_padding and length < expected):
            raise ValueError(f'{self.kind} in {self.folder} reads texts of '
                             f'{"" if self.reads_padding else "up to "}{expected} tokens: set '
                             f'{option} to that, not to {length}')
