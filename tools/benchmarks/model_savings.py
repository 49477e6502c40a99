"""What each measure for speed and memory brings, alone: with it and without it, in turns.

    python tools/benchmarks/model_savings.py --threads 1 --out savings.json

Each row is one measure at B/16's sizes (4 blocks, mask 0.5, 12 frames, 2 clips, float32 if not
said otherwise): CPU seconds of both forms, their ratio, and the bytes that autograd keeps for the
backward pass. What is measured and what stands against it is said by the functions below. For
whole models and other machines see model.py. CPU only.
"""

import argparse
import copy
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from common import machine, show_progress
from mmengine.dataset import pseudo_collate
from model_contestants import randomise
from model_measures import Batch, measure_seconds, saved_bytes
from torch import Tensor, nn

from tvtsv2_mm.models import (
    PartiallyFrozenTextEncoder,
    SpaceTimeViT,
    TranscriptSortingHead,
    VideoTextDataPreprocessor,
)
from tvtsv2_mm.models.layers import divided_attention, space_time_block
from tvtsv2_mm.models.layers.cpu import products
from tvtsv2_mm.models.layers.norm_linear import plain_linear
from tvtsv2_mm.models.losses import global_contrastive_loss

CLIPS, FRAMES, PATCHES, KEPT, BLOCKS = 2, 12, 196, 98, 4
TEXTS, TOKENS, CONTEXT, END = 8, 25, 77, 49407
BF16 = dict(device_type='cpu', dtype=torch.bfloat16)


class Form(NamedTuple):
    """One way to do a thing: a call to time, and one whose saved bytes are counted, if any."""

    call: Callable[[], object]
    keeps: Callable[[], int] | None = None


class Saving(NamedTuple):
    """A measure, without and with it."""

    name: str
    without: Form
    own: Form


def batch_of_clips() -> Batch:
    """Random clips, and masks."""
    kept = torch.stack([torch.randperm(PATCHES)[:KEPT].sort().values for _ in range(CLIPS)])
    return Batch(torch.randn(CLIPS, FRAMES, 3, 224, 224), kept)


def build_encoder(**options: object) -> SpaceTimeViT:
    """B/16 with fewer blocks."""
    torch.manual_seed(0)
    encoder = SpaceTimeViT(layers=BLOCKS, **options)
    randomise(encoder)
    return encoder


def training(encoder: SpaceTimeViT, batch: Batch, *, half: bool = False,
             patch: Callable = nullcontext) -> Form:
    """A training step of the encoder, in bfloat16 if ``half``, under a context of its own."""

    def forward(batch: Batch) -> Sequence[Tensor]:
        with torch.autocast(**BF16, enabled=half):
            return encoder(batch.video, batch.kept_patches)

    def step() -> None:
        with patch():
            torch.autograd.backward(sum(out.float().sum() for out in forward(batch)))
        encoder.zero_grad()

    def keeps() -> int:
        with patch():
            return saved_bytes(forward, batch, encoder.parameters())

    return Form(step, keeps)


def inference(call: Callable[[], object]) -> Form:
    """A call without a graph."""
    return Form(torch.no_grad()(call))


@contextmanager
def sdpa_attention() -> Iterator[None]:
    """scaled_dot_product_attention with concatenated keys, differentiated by autograd."""
    grouped = mock.Mock(apply=divided_attention.plain_attention)
    with mock.patch.object(divided_attention, 'GroupedAttention', grouped):
        yield


def torch_products() -> AbstractContextManager:
    """mm and addmm whatever the CPU."""
    return mock.patch.object(products, '_is_for_onednn', lambda *_: False)


@contextmanager
def kept_values() -> Iterator[None]:
    """Normalised and activated values kept by autograd, QuickGELU in plain operations."""

    def norm_linear(x: Tensor, norm: nn.LayerNorm, linear: nn.Linear, scale: float = 1) -> Tensor:
        return plain_linear(norm(x), linear)

    def activation_linear(hidden: Tensor, activation: object, linear: nn.Linear) -> Tensor:
        return plain_linear(hidden * torch.sigmoid(1.702 * hidden), linear)

    with mock.patch.multiple(space_time_block, norm_linear=norm_linear,
                             activation_linear=activation_linear):
        yield


def encoder_savings() -> Iterator[Saving]:
    """Measures inside the video encoder."""
    batch, encoder = batch_of_clips(), build_encoder()
    for half in (False, True):
        dtype = 'bf16' if half else 'fp32'
        own = training(encoder, batch, half=half)
        yield Saving(f'products and biases by oneDNN, training step, {dtype}',
                     training(encoder, batch, half=half, patch=torch_products), own)
        yield Saving(f'grouped attention with its own backward, training step, {dtype}',
                     training(encoder, batch, half=half, patch=sdpa_attention), own)
        yield Saving(f'norms and activations computed again, training step, {dtype}',
                     training(encoder, batch, half=half, patch=kept_values), own)
        compiled = copy.deepcopy(encoder)
        for block in compiled.resblocks:
            block.forward = torch.compile(block.forward)
        yield Saving(f'compile, training step, {dtype}', own,
                     training(compiled, batch, half=half))
    yield Saving('checkpointing, training step, fp32 (bytes: block inputs, not counted here)',
                 training(encoder, batch), training(build_encoder(checkpointing=True), batch))
    yield Saving('bfloat16 autocast, training step', training(encoder, batch),
                 training(encoder, batch, half=True))
    yield Saving('tube mask of 0.5, training step', training(encoder, Batch(batch.video, None)),
                 training(encoder, batch))
    yield Saving('class token only in the last of 4 blocks, forward pass',
                 inference(lambda: encoder(batch.video)),
                 inference(lambda: encoder(batch.video, class_only=True)))


def loader_savings() -> Iterator[Saving]:
    """From uint8 in the loader to patches in float32: whole frames, or what RandomTubeMask kept."""
    clips = [torch.randint(0, 256, (FRAMES, 3, 224, 224), dtype=torch.uint8) for _ in range(CLIPS)]
    cut = [torch.randint(0, 256, (FRAMES, KEPT, 3, 16, 16), dtype=torch.uint8)
           for _ in range(CLIPS)]
    kept = torch.stack([torch.randperm(PATCHES)[:KEPT] for _ in range(CLIPS)])
    prepare, encoder = VideoTextDataPreprocessor(), build_encoder()

    def patches(videos: list[Tensor]) -> Tensor:
        samples = [dict(inputs=dict(video=video, kept_patches=own))
                   for video, own in zip(videos, kept, strict=True)]
        inputs = prepare(pseudo_collate(samples))['inputs']
        return encoder._gather_patches(inputs['video'], inputs['kept_patches'])

    yield Saving('masked patches dropped in the loader, collated uint8 to float32 patches',
                 inference(lambda: patches(clips)), inference(lambda: patches(cut)))


def text_savings() -> Iterator[Saving]:
    """Measures of the text encoder: 8 texts of at most 25 tokens in rows of 77."""
    tokens = torch.randint(1, END - 1, (TEXTS, CONTEXT))
    lengths = torch.linspace(8, TOKENS, TEXTS).long()
    for row, length in zip(tokens, lengths, strict=True):
        row[length - 1], row[length:] = END, 0

    def step(neck: PartiallyFrozenTextEncoder, padded: bool = True) -> Form:
        def run() -> None:
            neck(tokens, padded=padded).sum().backward()
            neck.zero_grad()
        return Form(run)

    neck = PartiallyFrozenTextEncoder()
    yield Saving('texts cut to the longest, training step of the text encoder',
                 step(neck, padded=False), step(neck))
    yield Saving('9 of 12 text blocks frozen, training step of the text encoder',
                 step(PartiallyFrozenTextEncoder(frozen_layers=0)), step(neck))
    yield Saving('neck.freeze_embeddings=True, training step of the text encoder',
                 step(neck), step(PartiallyFrozenTextEncoder(freeze_embeddings=True)))


def other_savings() -> Iterator[Saving]:
    """The optimiser, the heads and the loss."""
    def optimizer_step(**options: object) -> Form:
        encoder = build_encoder()
        for parameter in encoder.parameters():
            parameter.grad = torch.randn_like(parameter)
        return Form(torch.optim.AdamW(encoder.parameters(), **options).step)

    yield Saving('fused AdamW, optimiser step of 4 blocks', optimizer_step(fused=False),
                 optimizer_step(fused=True))

    sorting, tokens = TranscriptSortingHead(), torch.randn(CLIPS, 1 + FRAMES * KEPT, 512)
    texts = torch.randn(CLIPS, 4, 512)

    def all_positions() -> Tensor:
        x = torch.cat([tokens + sorting.type_embed[:, :1], texts + sorting.type_embed[:, 1:]], 1)
        for block in sorting.blocks:
            x = block(x, outputs=x.shape[1])
        return sorting.head(sorting.norm(x[:, -4:]))

    yield Saving('transcripts only in the last block of the sorting head, forward pass',
                 inference(all_positions), inference(lambda: sorting(tokens, texts)))

    video, text = (F.normalize(torch.randn(4096, 512), dim=-1) for _ in range(2))

    def contrast(chunk_size: int) -> Form:
        def run() -> None:
            inputs = [x.clone().requires_grad_() for x in (video, text)]
            global_contrastive_loss(*inputs, 0.05, chunk_size=chunk_size).backward()
        return Form(run)

    yield Saving('contrastive loss of 4096 pairs in chunks of 512', contrast(4096), contrast(512))


PARTS = dict(encoder=encoder_savings, loader=loader_savings, text=text_savings,
             other=other_savings)


def measure(saving: Saving, rounds: int) -> dict[str, float]:
    """CPU seconds of both forms, their ratio, and the bytes that they keep."""
    forms = dict(without=saving.without, own=saving.own)
    seconds = measure_seconds({name: form.call for name, form in forms.items()}, rounds,
                              torch.device('cpu'), lambda text: None)
    row = {f'{name}_seconds': statistics.median(seconds[name].cpu) for name in forms}
    row['ratio'] = row['own_seconds'] / row['without_seconds']
    row.update({f'{name}_kept_bytes': form.keeps() for name, form in forms.items() if form.keeps})
    return row


def main() -> None:
    """Measure all and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5, help='turns of each (%(default)s)')
    parser.add_argument('--threads', type=int, help='of torch')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS),
                        help='(default: %(default)s)')
    parser.add_argument('--out', help='JSON file of all figures')
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = {}
    print('| measure | without, CPU ms | with | ratio | kept without, MB | with |')
    print('|---|---|---|---|---|---|')
    for part in args.parts:
        for saving in PARTS[part]():
            show_progress(saving.name)
            row = rows[saving.name] = measure(saving, args.rounds)
            kept = [f'{row[key] / 1e6:.0f}' if key in row else ''
                    for key in ('without_kept_bytes', 'own_kept_bytes')]
            print('|', ' | '.join([
                saving.name, f'{row["without_seconds"] * 1e3:.1f}',
                f'{row["own_seconds"] * 1e3:.1f}', f'{row["ratio"]:.2f}', *kept]), '|', flush=True)
    if args.out:
        result = dict(machine=machine(('torch', 'transformers', 'numpy')), threads=args.threads,
                      rounds=args.rounds, rows=rows)
        Path(args.out).write_text(json.dumps(result, indent=1) + '\n', 'utf-8')


if __name__ == '__main__':
    main()
