"""The two towers as files that run without this package: ONNX and torch.export."""

import io
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvtsv2_mm.checkpoints.lora import adapters_of
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.utils.extras import EXTRAS, needed_for
from tvtsv2_mm.utils.files import (
    draft_of,
    make_folder,
    put_in_place,
    write_atomically,
    writing,
)

TOLERANCE = 1e-4
OPSET = 18


class VideoTower(nn.Module):
    """Pixels to embeddings, with the normalisation inside."""

    def __init__(self, model: VideoTextModel) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.register_buffer('mean', model.data_preprocessor.mean.clone())
        self.register_buffer('std', model.data_preprocessor.std.clone())

    def forward(self, video: Tensor) -> Tensor:
        """Embed clips: uint8 (B, T, 3, H, W) in RGB -> float32 (B, E), l2-normalised."""
        embeds, _ = self.backbone((video.float() - self.mean) / self.std)
        return F.normalize(embeds, dim=-1)

    def example(self, batch: int) -> Tensor:
        """Random clips of the size that the tower takes."""
        size = self.backbone.image_size
        generator = torch.Generator().manual_seed(batch)
        return torch.randint(0, 256, (batch, self.backbone.num_frames, 3, size, size),
                             dtype=torch.uint8, generator=generator)


class TextTower(nn.Module):
    """Tokens to embeddings.

    A neck whose attention is causal cuts the batch behind its last end token, which depends on the
    data; here the whole width is computed. The embeddings are the same.
    """

    def __init__(self, model: VideoTextModel) -> None:
        super().__init__()
        self.neck = model.neck
        self.context_length = model.neck.context_length
        length = self.context_length
        # transformers builds its mask in a way that depends on the version and does not export.
        self.register_buffer('mask', torch.full((length, length), float('-inf')).triu_(1)
                             if model.neck.causal else None, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed texts as the tokenizer pads them: int64 (B, L) -> float32 (B, E), l2-normalised."""
        # Not len(tokens): that would fix the batch size of the exported file.
        batch = tokens.shape[0]
        mask = None if self.mask is None else self.mask.expand(batch, 1, -1, -1)
        return F.normalize(self.neck.encode(tokens, mask), dim=-1)

    def example(self, batch: int) -> Tensor:
        """Random texts of different lengths."""
        generator = torch.Generator().manual_seed(batch)
        highest = self.neck.built_with['vocab_size'] - 1
        end_token = highest if self.neck.end_token is None else self.neck.end_token
        tokens = torch.randint(1, highest, (batch, self.context_length), generator=generator)
        tokens[tokens == end_token] = highest - 1
        for row in range(batch):
            end = 2 + (5 * row + 3) % (self.context_length - 2)
            tokens[row, end] = end_token
            tokens[row, end + 1:] = 0
        return tokens


def build_towers(model: VideoTextModel) -> dict[str, Any]:
    """The towers that a model has: 'video', and 'text' where there is a neck."""
    towers: dict[str, Any] = dict(video=VideoTower(model))
    if model.neck is not None:
        towers['text'] = TextTower(model)
    return {name: tower.cpu().eval() for name, tower in towers.items()}


@torch.no_grad()
def reference(model: VideoTextModel, name: str, inputs: Tensor) -> Tensor:
    """What the plain model makes of a tower's inputs."""
    if name == 'text':
        return F.normalize(model.encode_text(inputs).float(), dim=-1)
    batch = model.data_preprocessor(dict(inputs=dict(video=list(inputs))))
    return F.normalize(model.encode_video(batch['inputs'])[0].float(), dim=-1)


@torch.no_grad()
def export_towers(model: VideoTextModel, folder: str | Path,
                  formats: tuple[str, ...] = ('onnx', 'pt2')) -> Mapping[Path, float]:
    """Write the towers and check each file against the plain model, at several batch sizes.

    Args:
        model: with float32 weights.
        folder: for video.onnx, text.onnx, video.pt2, text.pt2; large weights lie beside them.
        formats: 'onnx' (needs onnx, onnxscript, onnxruntime), 'pt2' (torch.export).

    Returns:
        The files, and the largest absolute difference of each.

    Raises:
        RuntimeError: a file gives other embeddings than the model.
        ValueError: what a format needs is not installed, or the model has adapters (LoRA).
    """
    unknown = set(formats) - {'onnx', 'pt2'}
    if unknown or not formats:
        raise ValueError(f"formats must be 'onnx' and 'pt2', or one of them, not {formats}")
    if adapters_of(model.state_dict()):
        raise ValueError('the model has adapters (LoRA): leave lora out of its config and load the '
                         'checkpoint again, by which they are merged')
    folder = Path(folder)
    make_folder(folder)
    model = model.cpu().eval()
    differences = {}
    for name, tower in build_towers(model).items():
        for format in formats:
            path = folder / f'{name}.{format}'
            _write_onnx(tower, path) if format == 'onnx' else _write_pt2(tower, path)
            run = _load_onnx(path) if format == 'onnx' else _load_pt2(path)
            differences[path] = max(
                float((run(inputs) - reference(model, name, inputs)).abs().max())
                for inputs in map(tower.example, (1, 2, 5)))
            if not differences[path] <= TOLERANCE:
                raise RuntimeError(f'{path} differs from the model by {differences[path]:.2g}, '
                                   f'more than {TOLERANCE:g}: do not use it')
    return differences


def _program(tower: Any) -> torch.export.ExportedProgram:
    example = tower.example(2)
    batch = torch.export.Dim('batch', min=1, max=4096)
    # Strict, torch 2.7's default, is through Dynamo, where that torch does not say that it exports.
    return torch.export.export(tower, (example, ), dynamic_shapes=({0: batch}, ), strict=False)


def _write_pt2(tower: nn.Module, path: Path) -> None:
    # Of a disk that is full while it writes, torch would abort the process.
    content = io.BytesIO()
    torch.export.save(_program(tower), content)
    write_atomically(path, content.getvalue())


def _write_onnx(tower: nn.Module, path: Path) -> None:
    with needed_for("format 'onnx'"):  # before the time that the export takes
        for package in EXTRAS['export']:
            import_module(package)
    name = 'video' if isinstance(tower, VideoTower) else 'tokens'
    draft = draft_of(path)
    with writing(path):
        try:
            draft.mkdir()
            torch.onnx.export(
                _program(tower), f=draft / path.name, input_names=[name], output_names=['embeds'],
                opset_version=OPSET, dynamo=True, external_data=True, verbose=False)
            path.unlink(missing_ok=True)
            for file in sorted(draft.iterdir(), reverse=True):  # weights before what names them
                put_in_place(file, path.with_name(file.name))
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _load_pt2(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.export.load(path).module()


def _load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    with needed_for("format 'onnx'"):
        from onnxruntime import InferenceSession
    session = InferenceSession(str(path), providers=['CPUExecutionProvider'])
    [given] = session.get_inputs()

    def run(inputs: Tensor) -> Tensor:
        [embeds] = session.run(None, {given.name: np.asarray(inputs)})
        return torch.from_numpy(embeds)
    return run
