from types import SimpleNamespace

import pytest
import torch
from mmaction.models import ActionDataPreprocessor, I3DHead, TimeSformerHead
from mmaction.models.data_preprocessors import MultiModalDataPreprocessor
from mmengine.registry import DefaultScope

from tvtsv2_mm.engine.hooks import CheckClipsHook

CLIP = (1, 3, 4, 32, 32)


def look(*shapes, mode='train', hook=None, format_shape='NCTHW'):
    """At a batch, as the loop of this mode does."""
    runner = SimpleNamespace(model=SimpleNamespace(
        data_preprocessor=ActionDataPreprocessor(format_shape=format_shape)))
    getattr(hook or CheckClipsHook(), f'before_{mode}_iter')(
        runner, 7, dict(inputs=[torch.zeros(shape, dtype=torch.uint8) for shape in shapes]))


def test_clips_are_let_through():
    """In training a view of each video, gray ones too; in tests any number of views."""
    look(CLIP, CLIP, (1, 1, 4, 32, 32))
    for mode in ('val', 'test'):
        look((6, *CLIP[1:]), mode=mode)


@pytest.mark.parametrize(('shape', 'options', 'message'), [
    ((4, 3, 32, 32), {}, r'^train_dataloader\.dataset\.pipeline: .* needs FormatShape with'),
    ((4, 32, 32, 3), dict(mode='val'), r'^val_dataloader\.dataset\.pipeline: .*needs FormatShape'),
    ((2, *CLIP[1:]), {}, r'^train_dataloader\.dataset\.pipeline: .* got 2: set num_clips=1'),
    (CLIP, dict(format_shape='NCHW'),
     r"^model\.data_preprocessor\.format_shape must be 'NCTHW', .* not 'NCHW'"),
])
def test_what_to_change_is_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        look(CLIP, shape, **options)


def test_each_loop_is_looked_at_once():
    hook = CheckClipsHook()
    look(CLIP, hook=hook)
    look(CLIP[1:], hook=hook)
    with pytest.raises(ValueError, match='val_dataloader'):
        look(CLIP[1:], mode='val', hook=hook)


def test_a_multi_modal_recognizer():
    with DefaultScope.overwrite_default_scope('mmaction'):
        preprocessor = MultiModalDataPreprocessor(preprocessors=dict(
            imgs=dict(type='ActionDataPreprocessor', format_shape='NCTHW'),
            kept_patches=dict(type='ActionDataPreprocessor', to_float32=False)))
    runner = SimpleNamespace(model=SimpleNamespace(data_preprocessor=preprocessor))
    inputs = dict(imgs=[torch.zeros(1, 3, 4, 128, 8)], kept_patches=[torch.zeros(1, 8)])
    CheckClipsHook().before_train_iter(runner, 0, dict(inputs=inputs))
    inputs['imgs'] = [torch.zeros(4, 3, 32, 32)]
    with pytest.raises(ValueError, match='needs FormatShape'):
        CheckClipsHook().before_train_iter(runner, 0, dict(inputs=inputs))
    with pytest.raises(ValueError, match='CheckClipsHook is for recognizers'):
        CheckClipsHook().before_train_iter(runner, 0, dict(inputs=dict(video=[])))


@pytest.mark.parametrize(('head', 'output', 'reads'), [
    (TimeSformerHead, 'map', 'embedding'), (I3DHead, 'embedding', 'map')])
def test_a_head_of_other_features_is_told_at_the_start(head, output, reads):
    def start(output):
        CheckClipsHook().before_run(SimpleNamespace(model=SimpleNamespace(
            backbone=SimpleNamespace(output=output), cls_head=head(2, 8))))

    start(reads)
    with pytest.raises(ValueError, match=rf"{head.__name__} .*output='{output}': .* '{reads}'$"):
        start(output)
