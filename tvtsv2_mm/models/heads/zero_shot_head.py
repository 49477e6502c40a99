"""Zero-shot recognition: the class whose prompts lie nearest to the video."""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer
from tvtsv2_mm.utils.tokenizer import check_reads

from .prompts import read_classes, read_prompts


@MODELS.register_module()
class ZeroShotHead(BaseModule):
    """Cosine between the video and each class' embedding.

    A class' embedding is the normalised mean of the normalised embeddings of its prompts. It is
    kept while the text encoder's modules and weights, the prompts and the precision stay as they
    are, which is looked up before each batch.

    Args:
        classes: class names in the order of the labels, or a text file with one name a line.
        prompts: templates with one ``{}`` for the class name; or a name in
            ``prompts.PROMPTS`` ('paper', 'clip_ucf101', 'clip_kinetics'); or a text file with one
            template a line.
        context_length: tokens of a prompt.
        tokenizer: 'clip', or a folder with ``tokenizer.json``, as in TokenizeText.
        batch_size: prompts encoded at once.
    """

    def __init__(self,
                 *,
                 classes: Sequence[str] | str,
                 prompts: Sequence[str] | str = 'paper',
                 context_length: int = 77,
                 tokenizer: str = 'clip',
                 batch_size: int = 256) -> None:
        super().__init__()
        self.classes = read_classes(classes)
        self.prompts = read_prompts(prompts)
        self.tokenizer = build_tokenizer(tokenizer, context_length)
        self.batch_size = batch_size
        self.num_cut_prompts = 0  # longer than context_length, when they were encoded last
        self._kept: tuple[tuple, Tensor, Tensor] | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @torch.no_grad()
    def class_embeds(self, encode_text: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
        """(C, E) l2-normalised class embeddings; ``encode_text`` as in :meth:`predict`."""
        texts = [prompt.replace('{}', name) for name in self.classes for prompt in self.prompts]
        module = getattr(encode_text, '__self__', encode_text)
        check_reads(module, self.tokenizer.vocabulary, 'cls_head.tokenizer')
        if not isinstance(module, nn.Module):  # nobody knows what its weights are
            return self._encode(texts, encode_text, device)
        precision = torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type)
        setting = (texts, str(module), module.training, device, precision,
                   torch.is_inference_mode_enabled())
        weights = fingerprint(module)
        kept = (self._kept is not None and self._kept[0] == setting
                and self._kept[1].device == weights.device and torch.equal(self._kept[1], weights))
        if any(isinstance(value, DTensor) for value in module.parameters()):
            # Each rank has seen its own shards, and all of them must encode, or none.
            votes = torch.tensor(kept, dtype=torch.int32, device=device)
            dist.all_reduce(votes, dist.ReduceOp.MIN)
            kept = bool(votes)
        if not kept or self._kept is None:
            self._kept = setting, weights, self._encode(texts, encode_text, device)
        return self._kept[2]

    def _encode(self, texts: list[str], encode_text: Callable[[Tensor], Tensor],
                device: torch.device) -> Tensor:
        embeds = F.normalize(self._encode_texts(texts, encode_text, device).float(), dim=-1)
        embeds = embeds.view(len(self.classes), len(self.prompts), -1).mean(dim=1)
        return F.normalize(embeds, dim=-1)

    def _encode_texts(self, texts: list[str], encode_text: Callable[[Tensor], Tensor],
                      device: torch.device) -> Tensor:
        tokens, self.num_cut_prompts = self.tokenizer.tokenize(texts)
        tokens = tokens.to(device)
        return torch.cat([encode_text(part) for part in tokens.split(self.batch_size)])

    def predict(self, video_embeds: Tensor, encode_text: Callable[[Tensor], Tensor]) -> Tensor:
        """Cosines (B, C) of videos (B, E) with the classes.

        ``encode_text`` maps (N, L) tokens to (N, E) embeddings: a module or a method of one; of
        another function no class embeddings are kept.
        """
        class_embeds = self.class_embeds(encode_text, video_embeds.device)
        return F.normalize(video_embeds.float(), dim=-1) @ class_embeds.t()


@torch.no_grad()
def fingerprint(module: nn.Module) -> Tensor:
    """Vectors of a module as they are, and a weighted sum of each row of a matrix.

    It tells a change of weights by their values, since who writes to ``.data`` (EMA, LoRA) leaves
    no other trace, for one pass over their memory.
    """
    found = []
    for value in (*module.parameters(), *module.buffers()):
        rows = (value.to_local() if isinstance(value, DTensor) else value).float()
        if rows.ndim > 1:
            rows = rows.flatten(1)
            weights = torch.arange(1.0, rows.shape[1] + 1, device=rows.device).cos()
            # Not autocast's product, which rounds to half precision.
            with torch.autocast(rows.device.type, enabled=False):
                rows = rows @ weights
        found.append(rows.reshape(-1))
    return torch.cat(found)
