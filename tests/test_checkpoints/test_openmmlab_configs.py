"""CLIP4Clip and ActionCLIP of MMAction2, by the names and the config of their checkpoints.

Neither can be built here (they import OpenAI's package `clip`): their checkpoints are written with
a CLIP of open_clip, which has OpenAI's names, and their forward pass is written out below.
"""

import pytest
import torch
from mmaction.models.similarity import TransformerAdapter
from mmengine.runner import load_checkpoint
from torch import nn
from torch.nn.functional import normalize

from tests.clip_models import make_model, make_open_clip, randomize
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.checkpoints.description import CLIP_MEAN, CLIP_STD
from tvtsv2_mm.models import VideoTextDataPreprocessor

MEAN, STD = [122.771, 116.746, 104.093], [68.500, 66.632, 70.323]
CONFIG = '''
model = dict(
    type='{scope}CLIPSimilarity', clip_arch='ViT-B/32', to_float32=True,
    data_preprocessor=dict(
        type='MultiModalDataPreprocessor',
        preprocessors=dict(imgs=dict(type='ActionDataPreprocessor', mean={mean}, std={std}))),
    adapter=dict(type='SimpleMeanAdapter'))
'''
torch.manual_seed(0)
CLIP = make_open_clip('quick_gelu').eval()
randomize(CLIP)
VIDEO = torch.randn(2, 3, 3, 32, 32)
TOKENS = torch.randint(1, 70, (5, 12))
TOKENS[:, 9] = 79


def names(adapter: nn.Module | None = None) -> dict[str, torch.Tensor]:
    """As CLIPSimilarity and ActionClip name them."""
    weights = {f'clip.{key}': value for key, value in CLIP.state_dict().items()
               if not key.endswith('attn_mask')}
    return weights | ({} if adapter is None else {
        f'adapter.{key}': value for key, value in adapter.state_dict().items()})


class ActionClipAdapter(nn.Module):
    """Its names: projects/actionclip/models/adapter.py of MMAction2, whose blocks are CLIP's."""

    def __init__(self) -> None:
        super().__init__()
        self.frame_position_embeddings = nn.Embedding(8, 24)
        self.transformer = TransformerAdapter(8, 24, 2, 2).transformer


def save(path, config=None, adapter=None):
    meta = {} if config is None else dict(cfg=config)
    torch.save(dict(state_dict=names(adapter), meta=meta), path)
    return str(path)


def clip4clip(scope='', mean=MEAN):
    return CONFIG.format(scope=scope, mean=mean, std=STD)


def baseline(**backbone):
    model = make_model(type='FramewiseViT', **backbone)
    model.sorting_head = None
    return model


def with_pixels(model, mean=CLIP_MEAN, std=CLIP_STD):
    model.data_preprocessor = VideoTextDataPreprocessor(mean=mean, std=std)
    return model.eval()


@torch.no_grad()
def their_embeddings():
    """CLIPSimilarity.extract_feat with the SimpleMeanAdapter: the mean, and then its length."""
    frames = CLIP.encode_image(VIDEO.flatten(0, 1)).unflatten(0, (2, 3))
    return normalize(frames.mean(dim=1), dim=-1), normalize(CLIP.encode_text(TOKENS), dim=-1)


@torch.no_grad()
@pytest.mark.parametrize('scope', ['', 'mmaction.'])
def test_clip4clip_gives_its_embeddings(tmp_path, scope):
    model = with_pixels(baseline(average='embeddings'))
    load_checkpoint(model, save(tmp_path / 'x.pth', clip4clip(scope)))
    videos, texts = their_embeddings()
    torch.testing.assert_close(normalize(model.backbone(VIDEO)[0], dim=-1), videos, atol=1e-5,
                               rtol=0)
    torch.testing.assert_close(normalize(model.encode_text(TOKENS), dim=-1), texts, atol=1e-5,
                               rtol=0)
    told = model.load_report['assumed']
    # Its temperature is told by tensors, and all else by its config.
    assert len(told) == 1 and told[0].startswith('logit_scale is not taken')


def test_what_differs_from_clip4clip_is_refused(tmp_path):
    path = save(tmp_path / 'x.pth', clip4clip())
    with pytest.raises(CheckpointError, match=r"x\.pth: .*\n  backbone.average: 'embeddings' by "
                       r"the CLIPSimilarity in the checkpoint, 'directions' by the model config"):
        load_checkpoint(with_pixels(baseline()), path)
    with pytest.raises(CheckpointError, match=r'data_preprocessor.mean: \(122.771, .*123.675'):
        load_checkpoint(with_pixels(baseline(average='embeddings'), (123.675, 116.28, 103.53),
                                    (58.395, 57.12, 57.375)), path)


def test_a_model_with_time_is_trained_on_from_it(tmp_path):
    model = make_model()
    load_checkpoint(model, save(tmp_path / 'x.pth', clip4clip()))
    assert 'backbone.temporal_embedding' in model.load_report['new']


@pytest.mark.parametrize('make_adapter', [lambda: TransformerAdapter(8, 24, 2, 2),
                                          ActionClipAdapter], ids=['CLIP4Clip', 'ActionCLIP'])
def test_a_transformer_over_time_is_a_loss_that_is_told(tmp_path, make_adapter):
    """And its names tell that it is OpenAI's CLIP, where there is no config."""
    adapter = make_adapter()
    randomize(adapter)
    model = with_pixels(baseline(average='embeddings'))
    load_checkpoint(model, save(tmp_path / 'x.pth', adapter=adapter))
    with torch.no_grad():
        torch.testing.assert_close(normalize(model.encode_text(TOKENS), dim=-1),
                                   their_embeddings()[1], atol=1e-5, rtol=0)
    count = len(adapter.state_dict())
    [told] = [line for line in model.load_report['assumed'] if line.startswith('lost: ')]
    assert f'adapter.* ({count} tensors)' in told and len(model.load_report['lost']) == count
    with pytest.raises(CheckpointError, match=r'backbone\.average'):
        load_checkpoint(with_pixels(baseline()), str(tmp_path / 'x.pth'))


def test_half_an_adapter_or_another_is_not_lost_but_an_error(tmp_path):
    weights = names(TransformerAdapter(8, 24, 2, 2)) | {'adapter.other': torch.zeros(2)}
    with pytest.raises(CheckpointError, match=r'not used by the model:\n  adapter.other'):
        with_pixels(baseline(average='embeddings')).load_state_dict(weights)


@torch.no_grad()
def test_conversion_keeps_what_is_known(tmp_path):
    path = save(tmp_path / 'x.pth', clip4clip())
    found = inspect_checkpoint(path)
    assert found.config['backbone']['average'] == 'embeddings' and found.assumed == []
    assert found.config['data_preprocessor']['mean'] == tuple(MEAN)
    report: dict = {}
    convert_checkpoint(path, tmp_path / 'own.safetensors', report=report)
    with pytest.raises(CheckpointError, match=r'backbone\.average'):
        load_checkpoint(with_pixels(baseline()), str(tmp_path / 'own.safetensors'))
    model = with_pixels(baseline(average='embeddings'))
    load_checkpoint(model, str(tmp_path / 'own.safetensors'))
    torch.testing.assert_close(normalize(model.backbone(VIDEO)[0], dim=-1), their_embeddings()[0],
                               atol=1e-5, rtol=0)


@pytest.mark.parametrize('config', [
    'import os\nmodel = dict(type="CLIPSimilarity")', 'model = (', '[' * 10**5, 'model = 3',
    'model = dict(type=open("x", "w"))', 'model = dict(type="Other")'])
def test_a_config_that_says_nothing_plain_is_not_run_and_says_nothing(tmp_path, config,
                                                                       monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = with_pixels(baseline(average='embeddings'))
    load_checkpoint(model, save(tmp_path / 'x.pth', config))
    assert any('data_preprocessor.mean' in line for line in model.load_report['assumed'])
    assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize('mean', ['[1]', ['a', 'b', 'c'], [1e9, 1, 1], 'dict(a=1)'])
def test_pixels_that_are_none_are_not_taken(tmp_path, mean):
    """OpenAI's stand for them."""
    model = with_pixels(baseline(average='embeddings'))
    load_checkpoint(model, save(tmp_path / 'x.pth', clip4clip(mean=mean)))
    assert not any('data_preprocessor' in line for line in model.load_report['assumed'])
