"""Looks at what a recognizer of MMAction2 gets, before it reads it: the first clips, features."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.registry import HOOKS

# Heads of MMAction2, and which output of our backbones they read.
_READS = {'TimeSformerHead': 'embedding', 'I3DHead': 'map'}


@HOOKS.register_module()
class CheckClipsHook(Hook):
    """Stop at the first batch that is not of clips (views, C, T, H, W), in training of one view.

    MMAction2's data preprocessor and its heads would end over the sizes of their tensors, and not
    say what in the config to change. Nor do heads say it that read other features than the
    backbone's ``output`` is, which stops the run at its start. Frames of another size or number are
    told by our backbones.

    Raises:
        ValueError: names the key of the config.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def before_run(self, runner: Runner) -> None:
        """Look whether the head reads what the backbone gives."""
        model = bare_model(runner)
        output, head = (getattr(model, name, None) for name in ('backbone', 'cls_head'))
        output = getattr(output, 'output', None)
        reads = _READS.get(type(head).__name__)
        if reads and output and output != reads:
            raise ValueError(f'model.cls_head: a {type(head).__name__} does not read '
                             f"model.backbone.output={output!r}: set it to {reads!r}")

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                     mode: str = 'train') -> None:
        if mode in self._seen:
            return
        self._seen.add(mode)
        inputs, preprocessor = data_batch['inputs'], bare_model(runner).data_preprocessor
        if isinstance(inputs, Mapping):
            if 'imgs' not in inputs:
                raise ValueError('CheckClipsHook is for recognizers of MMAction2: leave it out')
            inputs, preprocessor = inputs['imgs'], preprocessor.preprocessors['imgs']
        pipeline = f'{mode}_dataloader.dataset.pipeline'
        for shape in (tuple(clip.shape) for clip in inputs):
            if len(shape) != 5:
                raise ValueError(
                    f'{pipeline}: a Recognizer3D reads clips (views, C, T, H, W), got {shape}: it '
                    "needs FormatShape with input_format='NCTHW' before PackActionInputs")
            if mode == 'train' and shape[0] != 1:
                raise ValueError(
                    f'{pipeline}: a sample is trained on as one view, got {shape[0]}: set '
                    'num_clips=1 in what samples frames (their number is clip_len), and take '
                    'ThreeCrop or TenCrop out')
        if preprocessor.format_shape != 'NCTHW':
            raise ValueError("model.data_preprocessor.format_shape must be 'NCTHW', as the clips "
                             f'are, not {preprocessor.format_shape!r}')
