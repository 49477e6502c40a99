"""A batch encoded in parts: the contrast sees it whole, memory holds the activations of a part."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Embeddings of videos (B, E) and of texts (B, K, E), and what is a mean over the samples.
Encoded = tuple[Tensor, Tensor | None, dict[str, Tensor]]


def encode_in_micro_batches(encode: Callable[[Mapping[str, Tensor]], Encoded],
                            inputs: Mapping[str, Tensor], size: int) -> Encoded:
    """``encode(inputs)``, ``size`` samples at a time, with the activations of one part in memory.

    GradCache's identity (Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup", 2021, arXiv 2101.06983): with L the loss of the whole batch and f_i the
    embeddings of part i, ::

        dL/dw = sum_i  dL/df_i . df_i/dw

    and dL/df_i needs all embeddings, but no activation. There, embeddings are computed without a
    graph, L is differentiated down to them, and each part is encoded again and differentiated.
    Here each part is a checkpoint in one graph, and backward does the same: so it is one
    ``backward``, each parameter gets its whole gradient at once (DDP reduces it once), and what
    is made of the embeddings needs no second form. Loss and gradient are those of
    ``encode(inputs)`` but for the rounding of other sizes.

    With A the activations of a sample and M ``size``, memory is O(M * A) beside inputs and
    embeddings, not O(B * A). The price is a second forward pass. Under ``fully_shard`` it is more:
    every part gathers every unit again, and torch keeps a part's units gathered from its second
    forward to its backward: parameters are whole there, and gradients until they are reduced.

    Args:
        encode: treats every sample for itself; the values of its dict are means over samples.
        inputs: tensors with the batch axis first; they must stay as they are until backward.
        size: samples of a part; the last part may be smaller.
    """
    batch = len(inputs['video'])
    videos, texts, means = [], [], {}
    for start in range(0, batch, size):
        part = {key: value[start:start + size] for key, value in inputs.items()}
        # Autocast casts each weight once and keeps the copy. Parts that shared it would add up
        # their gradients in half precision; with a copy each they add up in the weight's own.
        torch.clear_autocast_cache()
        video, text, part_means = checkpoint(encode, part, use_reentrant=False)
        videos.append(video)
        texts.append(text)
        for key, value in part_means.items():
            means[key] = means.get(key, 0) + value * (len(video) / batch)
    return torch.cat(videos), None if texts[0] is None else torch.cat(texts), means
