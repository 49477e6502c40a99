"""Texts by the text encoder of a run's model."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer
from tvtsv2_mm.utils.tokenizer import check_reads


@torch.no_grad()
def encode_texts(model: Any, texts: Sequence[str], *, tokenizer: str, context_length: int,
                 option: str, batch_size: int = 256) -> tuple[Tensor, int]:
    """Embed texts by a VideoTextModel; for all ranks to call.

    Args:
        model: in evaluation.
        texts: N of them.
        tokenizer: 'clip', or a folder with ``tokenizer.json``, as in TokenizeText.
        context_length: tokens of a text.
        option: of the config, which says whose tokens they are.
        batch_size: texts encoded at once.

    Returns:
        (N, E) l2-normalised, on the CPU, and how many texts were cut.

    Raises:
        ValueError: the model reads the tokens of another tokenizer.
    """
    tokenize = build_tokenizer(tokenizer, context_length)
    check_reads(getattr(model, 'neck', None), tokenize.vocabulary, option)
    tokens, num_cut = tokenize.tokenize(texts)
    device = next(model.parameters()).device
    # By the model's forward, which is where a model in shards gathers its weights.
    embeds = [model(dict(tokens=part.to(device)[None]))['text_embeds'][0].float().cpu()
              for part in tokens.split(batch_size)]
    return F.normalize(torch.cat(embeds), dim=-1), num_cut
