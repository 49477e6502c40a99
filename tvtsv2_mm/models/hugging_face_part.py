"""One side of a model of transformers: what HuggingFaceBackbone and its text encoder share."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig

from tvtsv2_mm.checkpoints.errors import CheckpointError
from tvtsv2_mm.checkpoints.files import files_of
from tvtsv2_mm.checkpoints.hugging_face import SCALES, is_text, model_folder, read_config, width_of
from tvtsv2_mm.models.pretrained_part import PretrainedPart
from tvtsv2_mm.utils.errors import one_error

try:
    from transformers.initialization import no_init_weights
except ImportError:  # transformers 4
    from transformers import modeling_utils
    no_init_weights: Any = getattr(modeling_utils, 'no_init_weights')  # noqa: B009


class HuggingFacePart(PretrainedPart):
    """The side of a dual encoder of transformers that sees, or the one that reads.

    It is built from the config in the model's folder; the weights are ``load_from``'s or
    ``init_cfg``'s, for which that folder does.

    Args:
        folder: of the model, as it comes from the hub or as sentence-transformers wrote it, with
            its weights. tools/test.py and the inferencer take that of the checkpoint.
        frozen: the part is not trained.
        init_cfg: mmengine's initialisation config; 'Pretrained' as in PretrainedPart.

    Attributes:
        hf: the library's model without its other side.
        config: the library's config.
        embed_dim: width E of the joint space.

    Raises:
        FileNotFoundError: there is no such folder, or a file that it needs is not in it.
        CheckpointError: its config is of no model that is run here.
    """

    def __init__(self, *, folder: str | None, frozen: bool = False,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        if folder is None:
            raise ValueError(f'{self.part}.folder is missing: the folder of a model of '
                             'transformers, as it comes from the hub')
        self.folder = model_folder(folder)
        self.config, name = read_config(self.folder)
        self.built_with = dict(library_config=name)
        self.embed_dim = width_of(self.config)
        self.frozen = frozen
        with one_error(f'{self.folder / "config.json"} makes no model', CheckpointError):
            self._check_size()
            self.hf = build_side(self.config, text=self.part == 'neck')
        if frozen:
            self.requires_grad_(False).eval()

    @property
    def kind(self) -> str:
        """As result files call it."""
        return f'transformers.{type(self.hf).__name__}'

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says, and not as the library begins a training."""
        if self.init_cfg:
            super().init_weights()

    def train(self, mode: bool = True) -> 'HuggingFacePart':
        """As of every module; what is frozen drops nothing and keeps its statistics."""
        return super().train(mode and not self.frozen)

    def _check_size(self) -> None:
        """Before memory is taken for a model: its file must hold about as many numbers."""
        with torch.device('meta'):
            described = sum(x.numel() for x in AutoModel.from_config(self.config).parameters())
        given = sum(file.stat().st_size for file in files_of(self.folder))
        if described > given:
            raise CheckpointError(f'it describes {described} numbers, but the weights in the '
                                  f'folder have {given} bytes')


def build_side(config: PretrainedConfig, *, text: bool) -> Any:
    """Build a model of the library without its other side and its scale.

    The weights are NaN, as they are to be loaded: the library takes half a minute for random ones
    of a base model, which nobody would notice.
    """
    with no_init_weights():
        model: Any = AutoModel.from_config(config)
    for name, _ in [*model.named_children(), *model.named_parameters(recurse=False)]:
        if is_text(name) != text or name in SCALES:
            delattr(model, name)
    for parameter in model.parameters():
        nn.init.constant_(parameter, torch.nan)
    return model


def features_of(output: Any) -> Tensor:
    """Embeddings (B, E) of what get_..._features returns: themselves before transformers 5."""
    embeds = output if isinstance(output, Tensor) else output.pooler_output
    return embeds.flatten(0, -2)  # VideoPrism's are (B, 1, E)
