from inspect import signature

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from tvtsv2_mm.models import PartiallyFrozenTextEncoder

SIZES = dict(width=32, layers=4, heads=2, embed_dim=16, frozen_layers=3, vocab_size=64,
             context_length=12)


def make_tokens(count: int = 5) -> torch.Tensor:
    tokens = torch.randint(1, 60, (count, 12))
    ends = torch.randint(3, 7, (count, ))
    for row, end in zip(tokens, ends, strict=True):
        row[end] = 63
        row[end + 1:] = 0
    return tokens


def kept_activations(neck: PartiallyFrozenTextEncoder, tokens: torch.Tensor) -> list[torch.Tensor]:
    """Tensors that backward will need, parameters left out."""
    parameters = {p.data_ptr() for p in neck.parameters()}
    kept = []

    def pack(tensor):
        if tensor.data_ptr() not in parameters and tensor.is_floating_point():
            kept.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        neck(tokens)
    return kept


def test_frozen_part_gets_no_gradient():
    neck = PartiallyFrozenTextEncoder(**SIZES)
    neck(make_tokens()).sum().backward()
    blocks = neck.clip.text_model.encoder.layers
    assert all(p.grad is None for block in blocks[:3] for p in block.parameters())
    assert all(p.grad is not None for p in blocks[3].parameters())
    assert neck.clip.text_model.embeddings.token_embedding.weight.grad is not None


def test_frozen_embeddings_keep_no_activation_of_the_frozen_part():
    tokens = make_tokens()
    one = PartiallyFrozenTextEncoder(**(SIZES | dict(layers=1, frozen_layers=0)),
                                     freeze_embeddings=True)
    all_frozen = PartiallyFrozenTextEncoder(**SIZES, freeze_embeddings=True)
    release = PartiallyFrozenTextEncoder(**SIZES)
    kept = sum(t.numel() for t in kept_activations(all_frozen, tokens))
    # One tuned block keeps what a model of that one block keeps, however many lie below it.
    assert kept == sum(t.numel() for t in kept_activations(one, tokens))
    assert sum(t.numel() for t in kept_activations(release, tokens)) > 2 * kept


def test_gradient_reaches_no_frozen_block():
    """The graph ends at the first tuned block: no node of the frozen part is in it."""
    neck = PartiallyFrozenTextEncoder(**SIZES, freeze_embeddings=True)
    outputs = []
    for block in neck.clip.text_model.encoder.layers:
        block.register_forward_hook(lambda module, args, out: outputs.append(
            out[0] if isinstance(out, tuple) else out))  # transformers 4 gives tuples
    neck(make_tokens())
    assert [out.requires_grad for out in outputs] == [False, False, False, True]


def test_padding_is_cut_exactly():
    neck = PartiallyFrozenTextEncoder(**SIZES)
    tokens = make_tokens()
    expected = neck.clip(input_ids=tokens).text_embeds
    torch.testing.assert_close(neck(tokens), expected)
    torch.testing.assert_close(neck(tokens, padded=False), expected)


def test_attention_is_fused_and_needs_no_mask(monkeypatch):
    """But in transformers 4, which makes one."""
    neck = PartiallyFrozenTextEncoder(**SIZES)
    fused, calls = torch.nn.functional.scaled_dot_product_attention, []

    def spy(query, key, value, **kwargs):
        calls.append((query.dtype, kwargs['attn_mask'] is None and kwargs['is_causal']))
        return fused(query, key, value, **kwargs)

    monkeypatch.setattr(torch.nn.functional, 'scaled_dot_product_attention', spy)
    with torch.autocast('cpu', torch.bfloat16):
        neck(make_tokens())
    block = neck.clip.text_model.encoder.layers[0]
    makes_none = 'causal_attention_mask' not in signature(block.forward).parameters
    assert calls == 4 * [(torch.bfloat16, makes_none)]


def products(counted: FlopCounterMode) -> int:
    """Without attention, which torch counts since 2.15."""
    return sum(count for operator, count in counted.get_flop_counts()['Global'].items()
               if operator in (torch.ops.aten.mm, torch.ops.aten.addmm))


def test_frozen_blocks_make_no_gradient_of_their_weights():
    """The release's embeddings are tuned: the gradient goes through, at the cost of a forward."""
    neck = PartiallyFrozenTextEncoder(**(SIZES | dict(frozen_layers=4)))
    tokens = make_tokens()
    with FlopCounterMode(display=False) as forward:
        loss = neck(tokens).sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    tuned = 2 * len(tokens) * neck.clip.text_projection.weight.numel()
    assert products(backward) == products(forward) + tuned


def test_errors():
    with pytest.raises(ValueError, match=r'0\.\.4'):
        PartiallyFrozenTextEncoder(**(SIZES | dict(frozen_layers=5)))
    with pytest.raises(ValueError, match='context_length=12'):
        PartiallyFrozenTextEncoder(**SIZES)(torch.ones(1, 13, dtype=torch.long))


def test_texts_of_another_tokenizer():
    with pytest.raises(ValueError, match=r'neck\.end_token=2 is not of the tokenizer'):
        PartiallyFrozenTextEncoder(**SIZES, end_token=2)
    with pytest.raises(ValueError, match=r'neck\.vocab_size=49500 .* is not of the tokenizer'):
        PartiallyFrozenTextEncoder(**(SIZES | dict(vocab_size=49500)))
    neck = PartiallyFrozenTextEncoder(**SIZES, end_token=2, tokenizer='another')
    tokens = torch.tensor([[5, 40, 2, 50, 2], [7, 2, 60, 3, 1]])
    ended = torch.tensor([[5, 40, 2, 0], [7, 2, 0, 0]])
    torch.testing.assert_close(neck(tokens), neck(ended))
    with pytest.raises(ValueError, match=r"no end token .*the tokens of 'another'"):
        neck(torch.tensor([[5, 40, 63, 0, 0]]))


def test_a_width_that_the_heads_do_not_divide():
    with pytest.raises(ValueError, match=r'multiple of heads \(7\): set neck\.heads'):
        PartiallyFrozenTextEncoder(heads=7)
