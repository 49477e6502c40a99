"""The video encoders of MMAction2, and mmpretrain's image encoders, in the place of ours."""

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from torch import Tensor, nn

from tvtsv2_mm.models.pretrained_part import PretrainedPart, split_init_cfg
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.errors import one_error

from .listening import listening


class Features(NamedTuple):
    """What is read from the output of a foreign backbone: D its width, P tokens of a frame."""

    embeds: Tensor  # (B, D)
    tokens: Tensor | None = None  # (B, T', P, D)


@MODELS.register_module()
class OpenMMLabBackbone(PretrainedPart):
    """A backbone of MMAction2 or mmpretrain as a :class:`.VideoBackbone`.

    What reads clips gets clips; what reads pictures gets every frame, and the clip is the mean of
    its frames. The embedding is the class token where there is one, and else the mean of the map
    (of SlowFast's two maps: both, one behind the other). Tokens are the map's places, or what the
    last norm gives of each token (TimeSformer, VideoMAE, UniFormerV2, mmpretrain's ViT).

    Args:
        backbone: config, with the scope in its type: ``dict(type='mmaction.SwinTransformer3D',
            ...)``, ``dict(type='mmpretrain.ResNet', depth=50)``.
        config: instead, the config file of a model of theirs, or its name
            (``'mmaction::recognition/videomae/....py'``). It is run, as mmengine runs it. Its
            backbone and its pixel normalisation are taken; where its training started from is not:
            weights are ``init_cfg``'s or ``load_from``'s.
        num_frames: of a clip, T; the number that the backbone was built for.
        image_size: height and width of a frame in pixels.
        embed_dim: width E of a linear projection behind the backbone, for a joint space with
            texts; None leaves the backbone's own width.
        frozen: the backbone is not trained, its batch statistics included; the projection is.
        init_cfg: mmengine's initialisation config. 'Pretrained' takes checkpoints of theirs, of
            which the backbone is taken; see :mod:`tvtsv2_mm.checkpoints.openmmlab`.

    Raises:
        FileNotFoundError: there is no such config.
        ValueError: the config holds no backbone, or the backbone cannot read such clips.
    """

    part = 'backbone'

    def __init__(self,
                 *,
                 backbone: Mapping[str, Any] | None = None,
                 config: str | None = None,
                 num_frames: int,
                 image_size: int = 224,
                 embed_dim: int | None = None,
                 frozen: bool = False,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        if (backbone is None) == (config is None):
            raise ValueError('give either backbone=dict(type=...) or config=FILE of theirs')
        self.pixels: dict | None = None
        if config is not None:
            backbone, self.pixels = read_model_config(config)
        # The numbers are decided by arguments that are theirs.
        self.built_with = {}
        self.num_frames = num_frames
        self.image_size = image_size
        self.frozen = frozen
        with torch.device('cpu'):  # some of theirs reckon with tensors that must have values
            self.net = MODELS.build(_in_its_scope(dict(backbone or {})))
        self.kind = f'{type(self.net).__module__.partition(".")[0]}.{type(self.net).__name__}'
        self.per_frame, sizes = self._try_out()
        width = sizes.embeds.shape[-1]
        self.token_frames: int | None = None if sizes.tokens is None else sizes.tokens.shape[1]
        self.embed_dim = width if embed_dim is None else embed_dim
        self.projection = nn.Identity()
        if embed_dim is not None:
            self.projection = nn.Linear(width, embed_dim, bias=False)
            nn.init.normal_(self.projection.weight, std=width**-0.5)
        if frozen:
            self.net.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> 'OpenMMLabBackbone':
        """As of every module; a frozen backbone drops nothing and keeps its statistics."""
        super().train(mode)
        if self.frozen:
            self.net.eval()
        return self

    def forward(self, video: Tensor, kept_patches: Tensor | None = None,
                class_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode clips, see :class:`.VideoBackbone`.

        Raises:
            ValueError: patches are left out, or the clips are not those that it was built for.
        """
        self._check_video(video, kept_patches)
        features = self._encode(self.net, video, self.per_frame, class_only)
        embeds = self.projection(features.embeds)
        if class_only or features.tokens is None:
            return embeds, None
        return embeds, self.projection(features.tokens.flatten(1, 2))

    def _encode(self, net: nn.Module, video: Tensor, per_frame: bool,
                class_only: bool = False) -> Features:
        """Encode clips (B, T, 3, H, W)."""
        inputs = video.flatten(0, 1) if per_frame else video.transpose(1, 2)
        source = None if class_only else _SOURCES.get(self.kind)
        with nullcontext() if source is None else listening(source.module(net)) as heard:
            features = read_output(net(inputs), net)
        given, found = inputs.shape[0], features.embeds.shape[0]  # len() would fix them in exports
        if found != given:
            raise ValueError(f'it returns {found} embeddings for {given} '
                             f'{"frames" if per_frame else "clips"}')
        if source is not None and heard:
            features = features._replace(tokens=source.read(net, heard[-1], given))
        if not per_frame:
            return features
        embeds, tokens = features
        return Features(
            embeds.unflatten(0, video.shape[:2]).mean(dim=1),
            None if tokens is None else tokens.flatten(1, 2).unflatten(0, video.shape[:2]))

    @torch.no_grad()
    def _try_out(self) -> tuple[bool, Features]:
        """Whether the network reads frames, and what it returns of a clip, as shapes alone."""
        # A copy without values, for some of theirs keep what they compute in the first call.
        empty: dict[int, Any] = {id(value): value.to('meta') for value in self.net.buffers()}
        empty |= {id(value): nn.Parameter(value.to('meta'), value.requires_grad)
                  for value in self.net.parameters()}
        net = copy.deepcopy(self.net, empty)
        net.eval()  # which of theirs returns nothing
        clip = torch.empty(1, self.num_frames, 3, self.image_size, self.image_size, device='meta')
        told = []
        for per_frame in (False, True):
            try:
                return per_frame, self._encode(net, clip, per_frame)
            except Exception as error:  # of code that is not ours
                told.append(f'{type(error).__name__}: {" ".join(str(error).split())[:200]}')
        raise ValueError(
            f'{self.kind} reads neither clips of num_frames={self.num_frames} frames of '
            f'image_size={self.image_size} pixels ({told[0]}) nor single frames of them '
            f'({told[1]}): give the sizes that it was built for')

    def _check_video(self, video: Tensor, kept_patches: Tensor | None) -> None:
        if kept_patches is not None or video.ndim == 6:
            raise ValueError(f'{self.kind} cannot leave patches out, as the tube mask asks: take '
                             'RandomTubeMask out of the pipeline, or SpaceTimeViT as the backbone')
        expected = (self.num_frames, 3, self.image_size, self.image_size)
        if tuple(video.shape[1:]) != expected:
            raise ValueError(
                f'{self.kind} was built for clips (T, 3, H, W) of {expected}, but got '
                f'{tuple(video.shape[1:])}: set num_frames and the crop size of the pipeline and '
                'num_frames and image_size of the backbone to the same values (and for one frame '
                "frames='constant', not 'single')")


def read_output(output: Any, net: nn.Module) -> Features:
    """Read what a backbone of OpenMMLab returns, for B inputs.

    Args:
        output: (B, D); a map (B, D, h, w) or (B, D, T', h, w); tokens (B, N, D), with the
            ``num_extra_tokens`` of the network first; a map and its class token; or a tuple of
            such things, of which the last is read (of pathways all).
        net: the network.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(output, list | tuple) and output:
        dimensions = [part.ndim if isinstance(part, Tensor) else 0 for part in output]
        if len(output) == 2 and dimensions[0] > dimensions[1] == 2:
            return Features(output[1], read_output(output[0], net).tokens)
        if type(net).__name__ in _PATHWAYS:
            return Features(torch.cat([read_output(part, net).embeds for part in output], dim=1))
        return read_output(output[-1], net)
    if isinstance(output, Tensor) and output.ndim == 2:
        return Features(output)
    if isinstance(output, Tensor) and output.ndim in (4, 5):
        places = output.flatten(2)  # (B, D, T' * h * w)
        frames = output.shape[2] if output.ndim == 5 else 1
        return Features(places.mean(dim=2), places.transpose(1, 2).unflatten(1, (frames, -1)))
    if isinstance(output, Tensor) and output.ndim == 3:
        extra = getattr(net, 'num_extra_tokens', 0)
        return Features(output[:, 0] if extra else output.mean(dim=1), output[:, None, extra:])
    raise ValueError(f'it returns neither vectors nor maps nor tokens, but {type(output).__name__}'
                     f'{tuple(getattr(output, "shape", ()))}')


class _Source(NamedTuple):
    """Where a network that returns vectors alone has its tokens."""

    module: Callable[[Any], nn.Module]  # of the network: its output is heard
    read: Callable[[Any, Tensor, int], Tensor]  # network, output, B: (B, T', P, D)


def _videomae(net: Any, x: Tensor, batch: int) -> Tensor:
    frames = x.shape[1] // math.prod(net.grid_size)
    return (x if net.fc_norm is None else net.fc_norm(x)).unflatten(1, (frames, -1))


def _timesformer(net: Any, x: Tensor, batch: int) -> Tensor:
    if net.attention_type == 'space_only':  # the mean of the frames
        return x[:, None, 1:]
    return x[:, 1:].unflatten(1, (-1, net.num_frames)).transpose(1, 2)


def _uniformerv2(net: Any, x: Tensor, batch: int) -> Tensor:
    patches = x.unflatten(1, (batch, -1))[1:]  # (P, B, T', D)
    return net.transformer.norm(patches.permute(1, 2, 0, 3))


def _mmpretrain_vit(net: Any, x: Tensor, batch: int) -> Tensor:
    return x[:, None, net.num_extra_tokens:]


_SOURCES = {
    'mmaction.VisionTransformer': _Source(lambda net: net.norm, _videomae),
    'mmaction.TimeSformer': _Source(lambda net: net.norm, _timesformer),
    'mmaction.UniFormerV2': _Source(lambda net: net.transformer.resblocks[-1], _uniformerv2),
    'mmpretrain.VisionTransformer': _Source(lambda net: net.ln1, _mmpretrain_vit),
}
# Those whose tuple is one output.
_PATHWAYS = ('ResNet3dSlowFast', )


def read_model_config(name: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read a model of MMAction2 or mmpretrain from its config file, which is run.

    Args:
        name: a file; or that of an installed package, ``PACKAGE::its path below configs/``.

    Returns:
        The backbone's config, without where its training started from, and ``mean`` and ``std`` of
        its pixels (None where the config has none).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be run, has no backbone, or reads BGR.
    """
    package, found, _ = name.partition('::')
    if found and find_spec(package) is None:
        raise ValueError(f'backbone.config: {name} is of {package}, which is not installed')
    if not found and not Path(name).is_file():
        raise FileNotFoundError(f'backbone.config: there is no file {name} (configs of an '
                                'installed package are named PACKAGE::PATH)')
    with one_error(f'backbone.config: {name} cannot be read'):
        cfg = get_config(name) if found else Config.fromfile(name)
    cfg = cfg.to_dict()
    model = cfg.get('model') or {}
    backbone = model.get('backbone')
    if not isinstance(backbone, Mapping) or 'type' not in backbone:
        raise ValueError(f'backbone.config: {name} has no model.backbone: take the config of a '
                         'recognizer or of an image classifier')
    preprocessor = model.get('data_preprocessor') or {}
    if 'mean' not in preprocessor and 'mean' in (cfg.get('data_preprocessor') or {}):
        preprocessor = cfg['data_preprocessor']  # mmpretrain's place, where pictures are BGR
        if not preprocessor.get('to_rgb', False):
            raise ValueError(f'backbone.config: {name} is of a model that reads BGR, and clips are '
                             'RGB here')
    pixels = {key: tuple(preprocessor[key]) for key in ('mean', 'std') if key in preprocessor}
    scope = cfg.get('default_scope')
    own = {key: value for key, value in backbone.items() if not key.startswith('pretrained')}
    started, others = split_init_cfg(own.get('init_cfg'), f'backbone.config: {name}: init_cfg')
    if started:
        own = {key: value for key, value in own.items() if key != 'init_cfg'}
        own |= dict(init_cfg=others) if others else {}
    if own['type'] == 'UniFormerV2':
        own['clip_pretrained'] = False  # what it is without saying
    return dict(own, _scope_=scope) if scope else own, pixels or None


def _in_its_scope(backbone: dict[str, Any]) -> dict[str, Any]:
    """``type='mmpretrain.ResNet'`` as a type of that scope, in which its parts are found too."""
    kind = backbone.get('type')
    if isinstance(kind, str) and '.' in kind and '_scope_' not in backbone:
        scope, _, kind = kind.rpartition('.')
        if find_spec(scope.partition('.')[0]) is None:
            raise ValueError(f'backbone.type: {scope} is not installed')
        backbone.update(type=kind, _scope_=scope)
    return backbone
