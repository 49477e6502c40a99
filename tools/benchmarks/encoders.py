"""What tools/benchmarks/model.py measures, and how."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import measures
import torch
from einsum_encoder import EinsumEncoder
from measures import Batch
from mmengine.config import Config
from results import show_progress
from torch import Tensor, nn
from torch._inductor.compile_fx import compile_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from tvtsv2_mm.models.cost import LinearLayer, encoder_cost, grid_patches, kept_count, linear_layers
from tvtsv2_mm.models.layers.cpu.grouped_attention import GroupedAttention
from tvtsv2_mm.models.layers.cpu.products import product
from tvtsv2_mm.models.layers.divided_attention import plain_attention
from tvtsv2_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/models'
DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)
# The products of the linear layers, by torch's mm and by what ours multiplies with, and large ones.
BOUNDS: dict[str, Callable[..., object]] = dict(
    bound=torch.mm, products=lambda left, right, out: product(left, right), matmul=torch.mm)
# Of the largest entry, in fp32: sums over tokens are taken in another order.
TOLERANCE = dict(cpu=1e-5, cuda=1e-4)
# What matmul multiplies.
LARGE = dict(cpu=4 * [LinearLayer(1024, 1024, 1024)], cuda=4 * [LinearLayer(8192, 8192, 8192)])
# Options of ours that hold while it runs, one at a time.
LAYERS = 'tvtsv2_mm.models.layers.'
CONTEXTS: dict[str, Callable[[], AbstractContextManager]] = dict(
    plain=lambda: patch(f'{LAYERS}norm_linear.is_plain', lambda *_: False),
    grouped=lambda: patch(f'{LAYERS}divided_attention.plain_attention', GroupedAttention.apply),
    grouped_time=lambda: patch(f'{LAYERS}divided_attention.plain_attention', lambda *args: (
        plain_attention if args[-1] == 'space' else GroupedAttention.apply)(*args)),
    **{kind: partial(sdpa_kernel, SDPBackend.__members__[f'{kind.upper()}_ATTENTION'])
       for kind in ('flash', 'efficient', 'cudnn')})


class Setting(NamedTuple):
    """What is measured at one size and mask."""

    backbone: dict
    clips: int
    kept: int
    device: torch.device

    def batch(self, clips: int) -> Batch:
        """Random clips, each with a tube mask of its own."""
        side, patches = self.backbone['image_size'], grid_patches(self.backbone)
        shape = clips, self.backbone['num_frames'], 3, side, side
        video = torch.randn(shape, device=self.device)
        if self.kept == patches:
            return Batch(video, None)
        kept = torch.rand(clips, patches, device=self.device).argsort(dim=1)[:, :self.kept]
        return Batch(video, kept.sort(dim=1).values)


def make_setting(args: argparse.Namespace, size: str, mask: float) -> Setting:
    """A size's config with the options of the command line; a ValueError where nothing is left."""
    backbone = Config.fromfile(next(CONFIGS.glob(f'tvtsv2_*{size}.py'))).model.backbone.to_dict()
    if args.layers:
        backbone['layers'] = args.layers
    kept, patches = kept_count(backbone, mask), grid_patches(backbone)
    if not 0 < kept <= patches:
        raise ValueError(f'--masks {mask} keeps {kept} of {patches} patches: give the share of the '
                         'patches that are dropped')
    return Setting(backbone, args.batch, kept, torch.device(args.device))


class Encoder:
    """A video encoder at a precision: autocast with weights that stay float32."""

    def __init__(self, module: nn.Module, precision: str,
                 call: Callable[[Batch], Sequence[Tensor]] | None = None,
                 options: Sequence[str] = ()) -> None:
        self.module = module
        self.dtype = DTYPES[precision]
        self._context = next((CONTEXTS[name] for name in options if name in CONTEXTS), nullcontext)
        self._call = call or (lambda batch: module(batch.video, batch.kept_patches))

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """The outputs, with the graph for a backward pass unless gradients are off."""
        self.module.train(torch.is_grad_enabled())
        with self._context(), torch.autocast(
                batch.video.device.type, self.dtype, self.dtype != torch.float32):
            return self._call(batch)

    def steps(self, batch: Batch) -> dict[str, Callable[[], object]]:
        """Forward pass alone; forward and backward pass of a fixed weighted sum of all outputs.

        No gradient stays behind, so that contestants do not lie in each other's memory.
        """
        weights: list[Tensor] = []

        def train() -> None:
            try:
                outputs = self.forward(batch)
                if not weights:
                    weights.extend(torch.randn_like(output) for output in outputs)
                with self._context():  # for what is computed again
                    torch.autograd.backward(outputs, weights)
            finally:
                self.module.zero_grad()

        return dict(forward=torch.no_grad()(partial(self.forward, batch)), training=train)


def bound_steps(layers: Sequence[LinearLayer], device: torch.device, precision: str,
                multiply: Callable[..., object]) -> dict[str, Callable[[], object]]:
    """The matrix products of linear layers alone.

    Layers have their own weights; inputs and results of one shape share theirs. ``multiply`` gets
    left, right, out=result, as torch's mm.
    """
    make = partial(torch.randn, dtype=DTYPES[precision], device=device)
    weights = [make(layer.outputs, layer.inputs) for layer in layers]
    pairs = list(zip(layers, weights, strict=True))
    shapes = {(layer.rows, size) for layer in layers for size in (layer.inputs, layer.outputs)}
    inputs, results = ({shape: make(shape) for shape in shapes} for _ in range(2))
    weight_results = {weight.shape: make(weight.shape) for weight in weights}

    def forward() -> None:
        for layer, weight in pairs:
            multiply(inputs[layer.rows, layer.inputs], weight.t(),
                     out=results[layer.rows, layer.outputs])

    def train() -> None:
        forward()
        for layer, weight in reversed(pairs):
            gradient, own = inputs[layer.rows, layer.outputs], inputs[layer.rows, layer.inputs]
            multiply(gradient.t(), own, out=weight_results[weight.shape])
            if layer.input_gradient:
                multiply(gradient, weight, out=results[layer.rows, layer.inputs])

    return dict(forward=forward, training=train)


def build_ours(backbone: Mapping, device: torch.device, weights: nn.Module | None = None,
               options: Sequence[str] = ()) -> nn.Module:
    """The package's encoder with random weights, time attention included, or those of another."""
    with device:
        encoder = MODELS.build({**backbone, 'checkpointing': 'checkpointing' in options})
    if weights is not None:
        encoder.load_state_dict(weights.state_dict())
    else:
        with torch.no_grad():
            # Under which a mistake shows: time attention starts as an exact zero, biases as 0.
            for name, parameter in encoder.named_parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
                elif '.timeattn.' in name:
                    parameter.normal_(std=parameter.shape[1]**-0.5)
    if 'compile' in options:
        # A backend of its own, or it would get what was compiled for other options.
        backend = partial(compile_fx)
        for block in encoder.resblocks:
            block.compile(backend=backend, dynamic=False)
    return encoder


def build_clip(backbone: Mapping, device: torch.device, precision: str) -> Encoder:
    """transformers' CLIP on every frame of a clip, all patches: it knows no mask."""
    # Only once tvtsv2_mm has mended torchvision for it.
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=backbone['width'], intermediate_size=4 * backbone['width'],
        projection_dim=backbone['embed_dim'], num_hidden_layers=backbone['layers'],
        num_attention_heads=backbone['heads'], hidden_act=backbone['activation'],
        image_size=backbone['image_size'], patch_size=backbone['patch_size'])
    with device:
        model = CLIPVisionModelWithProjection(config)
    return Encoder(model, precision, lambda batch: [
        model(pixel_values=batch.video.flatten(0, 1)).image_embeds])


def check_equality(ours: nn.Module, einsum: nn.Module, batch: Batch,
                   precisions: Sequence[str]) -> list[dict]:
    """Rows of the distance from the einsum form in fp32, on two clips; in fp32 it is an error.

    At lower precision there is no right answer: ours may round elsewhere, so both are given.
    """
    modules = dict(ours=ours, einsum=einsum)

    @torch.backends.cudnn.flags(allow_tf32=False)
    def compute(name: str, precision: str) -> dict[str, Tensor]:
        return measures.outputs_and_gradients(
            Encoder(modules[name], precision).forward, modules[name], batch.first(2))

    expected = compute('einsum', 'fp32')
    rows = []
    for name, precision in [('ours', 'fp32'), *((name, precision) for precision in precisions
                                                if precision != 'fp32' for name in modules)]:
        tensor, worst = measures.largest_difference(compute(name, precision), expected)
        rows.append(dict(table='equality', contestant=name, precision=precision, tensor=tensor,
                         largest_difference=worst))
        if precision == 'fp32' and not worst <= TOLERANCE[batch.video.device.type]:
            raise ValueError(f'not equal to the plain form: {tensor} differs by {worst:.1e} of its '
                             'largest entry')
    return rows


def compare(seconds: Mapping[tuple[str, str], Mapping[str, float]], name: str) -> dict[str, float]:
    """A contestant's seconds, how many times those of the products, how many times as fast."""
    row = {}
    for (other, kind), theirs in seconds.items():
        for end, own in seconds.get((name, kind), {}).items():
            if other == name:
                row[f'{kind}{end}_seconds'] = own
            elif other in BOUNDS:
                row[f'{kind}_x_{other}{end}'] = own / theirs[end]
            else:
                row[f'{kind}_speedup_{other}{end}'] = theirs[end] / own
    return row


def measure_precision(args: argparse.Namespace, setting: Setting, precision: str, ours: nn.Module,
                      einsum: nn.Module, batch: Batch) -> list[dict]:
    """The rows of all contestants at one size, mask and precision."""

    def build(name: str) -> Encoder:
        base, *options = name.split('+')
        if base == 'clip':
            return build_clip(setting.backbone, setting.device, precision)
        if base == 'ours':
            return Encoder(build_ours(setting.backbone, setting.device, ours, options)
                           if options else ours, precision, options=options)
        return Encoder(einsum, 'fp32' if base == 'einsum_fp32' else precision)

    shape = setting.backbone, setting.backbone['num_frames'], setting.kept
    names = [name for name in args.contestants if (name, precision) != ('einsum_fp32', 'fp32')]
    encoders = {name: build(name) for name in names if name not in BOUNDS}
    steps = {name: encoder.steps(batch.first(setting.clips)) for name, encoder in encoders.items()}
    linear, large = linear_layers(*shape, setting.clips), LARGE[setting.device.type]
    steps |= {name: bound_steps(large if name == 'matmul' else linear, setting.device, precision,
                                multiply) for name, multiply in BOUNDS.items() if name in names}
    seconds = measures.measure_seconds(
        {(name, kind): step for name, own in steps.items() for kind, step in own.items()},
        args.rounds)
    kept = {name: measures.live_bytes(encoder.forward, batch)
            for name, encoder in encoders.items() if setting.device.type == 'cpu'}
    result = []
    for name in names:
        row: dict[str, Any] = dict(
            table='encoder', contestant=name, precision=precision, **compare(seconds, name))
        if name in kept:
            row.update(live_mb=kept[name][0] / 1e6, live_fixed_mb=kept[name][1] / 1e6)
            if 'einsum' in kept:
                row.update(live_share_einsum=kept[name][0] / kept['einsum'][0])
        if setting.device.type == 'cuda' and (name, 'training') in seconds:
            torch.cuda.reset_peak_memory_stats()
            steps[name]['training']()
            row.update(training_peak_gb=torch.cuda.max_memory_allocated() / 1e9)
        if name in encoders and name != 'clip' and 'training_x_matmul_median' in row:
            flop = setting.clips * encoder_cost(*shape).training / row['training_x_matmul_median']
            row.update(training_share_matmul=flop / sum(3 * layer.flop for layer in large))
        result.append(row)
    return result


def measure(args: argparse.Namespace) -> list[dict]:
    """The rows of all tables."""
    settings = {(size, mask): make_setting(args, size, mask)
                for size in args.sizes for mask in args.masks}
    result = []
    for (size, mask), setting in settings.items():
        torch.manual_seed(0)
        # Shapes and precisions of one setting are compiled apart; past this limit, none would be.
        torch._dynamo.reset()
        torch._dynamo.config.recompile_limit = 64
        ours = build_ours(setting.backbone, setting.device)
        einsum = EinsumEncoder(setting.backbone).to(setting.device)
        einsum.load_state_dict(ours.state_dict())
        batch = setting.batch(max(setting.clips, measures.KEPT_CLIPS + 1))
        rows = check_equality(ours, einsum, batch, args.precisions)
        for precision in args.precisions:
            show_progress(f'{size}, mask {mask:g}, {precision}')
            rows += measure_precision(args, setting, precision, ours, einsum, batch)
        result += [dict(size=size, mask_share=mask, num_blocks=setting.backbone['layers'],
                        num_clips=setting.clips, **row) for row in rows]
    return result
