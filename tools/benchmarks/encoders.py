"""What tools/benchmarks/model.py measures, and how."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import measures
import torch
from einsum_encoder import EinsumEncoder
from measures import Batch
from mmengine.config import Config
from results import show_progress
from torch import Tensor, nn

from tvtsv2_mm.models.cost import grid_patches, kept_count, linear_layers
from tvtsv2_mm.models.layers.cpu.products import product
from tvtsv2_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/models'
DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)
# The products of the linear layers, by torch's mm and by what ours multiplies with.
BOUNDS: dict[str, Callable[..., object]] = dict(
    bound=torch.mm, products=lambda left, right, out: product(left, right))
# Of the largest entry, in fp32: sums over tokens are taken in another order.
TOLERANCE = 1e-5


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
    """A size's config with the options of the command line.

    Raises:
        ValueError: the mask leaves nothing, or more than there is.
    """
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
                 call: Callable[[Batch], Sequence[Tensor]] | None = None) -> None:
        self.module = module
        self.dtype = DTYPES[precision]
        self._call = call or (lambda batch: module(batch.video, batch.kept_patches))

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """The outputs, with the graph for a backward pass unless gradients are off."""
        self.module.train(torch.is_grad_enabled())
        with torch.autocast(batch.video.device.type, self.dtype, self.dtype != torch.float32):
            return self._call(batch)

    def steps(self, batch: Batch) -> dict[str, Callable[[], object]]:
        """Forward pass alone; forward and backward pass of a fixed weighted sum of all outputs.

        Such a loss costs nothing beside the encoder. No gradient stays behind, so that contestants
        do not lie in each other's memory.
        """
        weights: list[Tensor] = []

        def train() -> None:
            try:
                outputs = self.forward(batch)
                if not weights:
                    weights.extend(torch.randn_like(output) for output in outputs)
                torch.autograd.backward(outputs, weights)
            finally:
                self.module.zero_grad()

        return dict(forward=torch.no_grad()(partial(self.forward, batch)), training=train)


def bound_steps(setting: Setting, precision: str,
                multiply: Callable[..., object]) -> dict[str, Callable[[], object]]:
    """The matrix products of the linear layers alone.

    Layers have weights of their own, as in the model; inputs and results of one shape share theirs.
    ``multiply`` gets left, right, out=result, as torch's mm.
    """
    layers = linear_layers(setting.backbone, setting.backbone['num_frames'], setting.kept,
                           setting.clips)
    make = partial(torch.randn, dtype=DTYPES[precision], device=setting.device)
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
        for block in encoder.resblocks:
            block.compile(dynamic=False)
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
    """Rows of the distance from the einsum form in fp32, on two clips.

    At lower precision there is no right answer: ours may round elsewhere, so both are given.

    Raises:
        ValueError: they are not equal in fp32.
    """
    modules = dict(ours=ours, einsum=einsum)

    def compute(name: str, precision: str) -> dict[str, Tensor]:
        with torch.backends.cudnn.flags(allow_tf32=False):
            return measures.outputs_and_gradients(
                Encoder(modules[name], precision).forward, modules[name], batch.first(2))

    expected = compute('einsum', 'fp32')
    rows = []
    for name, precision in [('ours', 'fp32'), *((name, precision) for precision in precisions
                                                if precision != 'fp32' for name in modules)]:
        tensor, worst = measures.largest_difference(compute(name, precision), expected)
        rows.append(dict(contestant=name, precision=precision, tensor=tensor,
                         largest_difference=worst))
        if precision == 'fp32' and not worst <= TOLERANCE:
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
                           if options else ours, precision)
        return Encoder(einsum, 'fp32' if base == 'einsum_fp32' else precision)

    names = [name for name in args.contestants if (name, precision) != ('einsum_fp32', 'fp32')]
    encoders = {name: build(name) for name in names if name not in BOUNDS}
    part = batch.first(setting.clips)
    steps = {name: encoder.steps(part) for name, encoder in encoders.items()}
    steps |= {name: bound_steps(setting, precision, BOUNDS[name])
              for name in BOUNDS if name in names}
    seconds = measures.measure_seconds(
        {(name, kind): step for name, own in steps.items() for kind, step in own.items()},
        args.rounds)
    kept = {name: measures.per_clip(partial(measures.live_bytes, encoder.forward), batch)
            for name, encoder in encoders.items()}
    rows = []
    for name in names:
        row = dict(contestant=name, precision=precision, **compare(seconds, name))
        if name in kept:
            row.update(live_mb=kept[name][0] / 1e6, live_fixed_mb=kept[name][1] / 1e6)
            if 'einsum' in kept:
                row.update(live_share_einsum=kept[name][0] / kept['einsum'][0])
        rows.append(row)
    return rows


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
        with setting.device:
            einsum = EinsumEncoder(setting.backbone)
        einsum.load_state_dict(ours.state_dict())
        batch = setting.batch(max(setting.clips, measures.KEPT_CLIPS + 1))
        rows = [dict(table='equality', **row)
                for row in check_equality(ours, einsum, batch, args.precisions)]
        for precision in args.precisions:
            show_progress(f'{size}, mask {mask:g}, {precision}')
            rows += [dict(table='encoder', **row) for row in measure_precision(
                args, setting, precision, ours, einsum, batch)]
        result += [dict(size=size, mask_share=mask, num_blocks=setting.backbone['layers'],
                        num_clips=setting.clips, **row) for row in rows]
    return result
