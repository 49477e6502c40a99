"""Zero-shot recognition: the class whose prompts lie nearest to the video."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.text_files import read_names
from tvtsv2_mm.utils.tokenizer import ClipTokenizer

from .prompts import read_prompts


@MODELS.register_module()
class ZeroShotHead(BaseModule):
    """Cosine between the video and each class' embedding.

    A class' embedding is the normalised mean of the normalised embeddings of its prompts. It is
    computed once an evaluation and kept until the mode or the weights change.

    Args:
        classes: class names in the order of the labels, or a text file with one name a line.
        prompts: templates with one ``{}`` for the class name; or a name in
            ``prompts.PROMPTS`` ('paper', 'clip_ucf101', 'clip_kinetics'); or a text file with one
            template a line.
        context_length: tokens of a prompt.
        batch_size: prompts encoded at once.
    """

    def __init__(self,
                 *,
                 classes: Sequence[str] | str,
                 prompts: Sequence[str] | str = 'paper',
                 context_length: int = 77,
                 batch_size: int = 256) -> None:
        super().__init__()
        self.classes = _read_classes(classes) if isinstance(classes, str) else list(classes)
        if not self.classes:
            raise ValueError('cls_head.classes is empty: give the class names in label order')
        name, times = Counter(self.classes).most_common(1)[0]
        if times > 1:
            raise ValueError(f'cls_head.classes lists {name!r} {times} times')
        self.prompts = read_prompts(prompts)
        self.tokenizer = ClipTokenizer(context_length=context_length)
        self.batch_size = batch_size
        self._class_embeds: Tensor | None = None

    def train(self, mode: bool = True) -> 'ZeroShotHead':
        """Switch the mode and forget the class embeddings: weights may have changed."""
        self._class_embeds = None
        return super().train(mode)

    @torch.no_grad()
    def class_embeds(self, encode_text: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
        """(C, E) l2-normalised class embeddings."""
        if self._class_embeds is None or self._class_embeds.device != device:
            texts = [prompt.replace('{}', name) for name in self.classes for prompt in self.prompts]
            tokens = self.tokenizer(texts).to(device)
            embeds = torch.cat([encode_text(part) for part in tokens.split(self.batch_size)])
            embeds = F.normalize(embeds.float(), dim=-1)
            embeds = embeds.view(len(self.classes), len(self.prompts), -1).mean(dim=1)
            self._class_embeds = F.normalize(embeds, dim=-1)
        return self._class_embeds

    def predict(self, video_embeds: Tensor, encode_text: Callable[[Tensor], Tensor]) -> Tensor:
        """Cosines (B, C) of videos (B, E) with the classes.

        ``encode_text`` maps (N, L) tokens to (N, E) embeddings.
        """
        class_embeds = self.class_embeds(encode_text, video_embeds.device)
        return F.normalize(video_embeds.float(), dim=-1) @ class_embeds.t()


def _read_classes(path: str) -> list[str]:
    if not Path(path).is_file():
        raise FileNotFoundError(f'cls_head.classes: no file {path} (one class name a line)')
    return read_names(path)
