"""What tools/benchmarks/model.py sets beside each other.

Each contestant gives its steps by kind ('forward', 'training', ...): calls without arguments that
are timed. One that only does a part of a training run, such as extracting features, has only that
kind of step.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import torch
from einsum_encoder import EinsumEncoder
from model_cost import TEXT_TOKENS, TRANSCRIPTS, LinearLayer
from model_measures import Batch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tvtsv2_mm.models import SpaceTimeViT, VideoTextModel
from tvtsv2_mm.models.layers.cpu.products import product
from tvtsv2_mm.registry import MODELS

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """The precision of the products; weights stay float32."""
    dtype = DTYPES[precision]
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


class Encoder:
    """A video encoder at a precision.

    Args:
        module: Its parameters.
        precision: 'fp32', 'bf16' or 'fp16'.
        call: From a batch to its outputs; the module on video and kept patches if None.
    """

    def __init__(self, module: nn.Module, precision: str,
                 call: Callable[[Batch], Sequence[Tensor]] | None = None) -> None:
        self.module = module
        self.precision = precision
        self._call = call or (lambda batch: module(batch.video, batch.kept_patches))
        self._output_gradients: list[Tensor] | None = None

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """The outputs, with the graph for a backward pass."""
        self.module.train()
        with autocast(self.precision, batch.video.device):
            return self._call(batch)

    def infer(self, batch: Batch) -> None:
        """The outputs without a graph."""
        self.module.eval()
        with torch.no_grad(), autocast(self.precision, batch.video.device):
            self._call(batch)

    def train(self, batch: Batch) -> None:
        """Forward and backward pass of all parameters.

        The loss is a fixed weighted sum of all outputs: it costs nothing beside the encoder. No
        gradient stays behind, so that contestants do not lie in each other's memory.
        """
        try:
            outputs = self.forward(batch)
            if self._output_gradients is None:
                self._output_gradients = [torch.randn_like(output) for output in outputs]
            torch.autograd.backward(outputs, self._output_gradients)
        finally:
            self.module.zero_grad()

    def steps(self, batch: Batch) -> dict[str, Callable[[], None]]:
        """What is timed."""
        return dict(forward=partial(self.infer, batch), training=partial(self.train, batch))


def multiply_like_ours(left: Tensor, right: Tensor, *, out: Tensor) -> None:
    """By the library that the package's encoder takes, which may write into memory of its own."""
    product(left, right)


class Bound:
    """The matrix products of the linear layers alone.

    Layers have weights of their own, as in the model; inputs and results of one shape share theirs.

    Args:
        layers: Their shapes.
        precision: 'fp32', 'bf16' or 'fp16'.
        device: Of all matrices.
        square: Rows of the large product.
        multiply: (left, right, out=result), torch's mm for one.
    """

    def __init__(self, layers: Sequence[LinearLayer], precision: str, device: torch.device,
                 square: int, multiply: Callable[..., object]) -> None:
        self._layers = layers
        self._multiply = multiply
        make = partial(torch.randn, dtype=DTYPES[precision], device=device)
        self._weights = [make(layer.outputs, layer.inputs) for layer in layers]
        shapes = {(layer.rows, size) for layer in layers for size in (layer.inputs, layer.outputs)}
        self._activations = {shape: make(shape) for shape in shapes}
        self._results = {shape: make(shape) for shape in shapes}
        self._weight_results = {weight.shape: make(weight.shape) for weight in self._weights}
        self._square = [make(square, square) for _ in range(3)]

    def forward(self) -> None:
        """y = x W^T of every layer."""
        for layer, weight in zip(self._layers, self._weights, strict=True):
            self._multiply(self._activations[layer.rows, layer.inputs], weight.t(),
                           out=self._results[layer.rows, layer.outputs])

    def train(self) -> None:
        """The same, and the products of the backward pass."""
        self.forward()
        for layer, weight in zip(reversed(self._layers), reversed(self._weights), strict=True):
            gradient = self._activations[layer.rows, layer.outputs]
            self._multiply(gradient.t(), self._activations[layer.rows, layer.inputs],
                           out=self._weight_results[weight.shape])
            if layer.input_gradient:
                self._multiply(gradient, weight, out=self._results[layer.rows, layer.inputs])

    def multiply_squares(self) -> None:
        """One large product, for the rate that the machine reaches at its best."""
        left, right, out = self._square
        self._multiply(left, right, out=out)

    def steps(self, batch: Batch) -> dict[str, Callable[[], None]]:
        """What is timed; the batch is in the shapes already."""
        return dict(forward=self.forward, training=self.train, square=self.multiply_squares)


class WholeModel:
    """Training steps of the whole model: losses, backward pass and fused AdamW."""

    def __init__(self, model: VideoTextModel, precision: str, tokens: Tensor,
                 optimizer: torch.optim.Optimizer) -> None:
        self.model = model
        self.precision = precision
        self._tokens = tokens
        self._optimizer = optimizer

    def train(self, batch: Batch) -> None:
        """One step; gradients are freed at its end."""
        self.model.train()
        inputs = dict(video=batch.video, tokens=self._tokens)
        if batch.kept_patches is not None:
            inputs['kept_patches'] = batch.kept_patches
        try:
            with autocast(self.precision, batch.video.device):
                losses = self.model.loss(inputs, [])
            loss, _ = self.model.parse_losses(losses)
            loss.backward()
            self._optimizer.step()
        finally:
            self._optimizer.zero_grad()

    def steps(self, batch: Batch) -> dict[str, Callable[[], None]]:
        """What is timed."""
        return dict(training=partial(self.train, batch))


def build_ours(backbone: dict, device: torch.device, compiled: bool) -> SpaceTimeViT:
    """The package's encoder with random weights, time attention included."""
    with torch.device(device):
        encoder = MODELS.build(backbone)
    randomise(encoder)
    if compiled:
        for block in encoder.resblocks:
            block.compile(dynamic=False)
    return encoder


@torch.no_grad()
def randomise(encoder: nn.Module) -> None:
    """Weights under which a mistake shows: time attention starts as an exact zero, biases as 0."""
    for name, parameter in encoder.named_parameters():
        if parameter.ndim == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
        elif '.timeattn.' in name:
            parameter.normal_(std=parameter.shape[1]**-0.5)


def build_einsum(backbone: dict, weights: nn.Module, device: torch.device) -> EinsumEncoder:
    """The plain form with the weights of ours."""
    names = ('image_size', 'patch_size', 'width', 'layers', 'heads', 'embed_dim', 'num_frames',
             'activation', 'token_output')
    with torch.device(device):
        encoder = EinsumEncoder(**{name: backbone[name] for name in names})
    encoder.load_state_dict(weights.state_dict())
    return encoder


def build_clip(backbone: dict, precision: str, device: torch.device) -> Encoder:
    """transformers' CLIP on every frame of a clip, all patches: it knows no mask."""
    config = CLIPVisionConfig(
        hidden_size=backbone['width'], intermediate_size=4 * backbone['width'],
        projection_dim=backbone['embed_dim'], num_hidden_layers=backbone['layers'],
        num_attention_heads=backbone['heads'], image_size=backbone['image_size'],
        patch_size=backbone['patch_size'], hidden_act=backbone['activation'],
        attn_implementation='sdpa')
    with torch.device(device):
        model = CLIPVisionModelWithProjection(config)
    return Encoder(model, precision, lambda batch: [
        model(pixel_values=batch.video.flatten(0, 1)).image_embeds])


def build_whole(config: dict, encoder: nn.Module, clips: int,
                device: torch.device) -> tuple[VideoTextModel, Tensor, torch.optim.Optimizer]:
    """The whole model around a video encoder, texts for it (B, K, L), and its optimiser."""
    with torch.device(device):
        model = MODELS.build(config)
        model.backbone = encoder
        # CLIP's end token has the highest id; the text encoder reads there.
        end = model.neck.clip.config.vocab_size - 1
        tokens = torch.randint(1, end - 1, (clips, TRANSCRIPTS, TEXT_TOKENS))
    tokens[..., -1] = end
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return model, tokens, torch.optim.AdamW(trained, lr=1e-7, fused=True)
