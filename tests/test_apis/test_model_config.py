import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tests.tiny_model import CONFIG, ROOT, build_tiny_model
from tvtsv2_mm.apis.model_config import config_of_checkpoint, literal_config, published_config
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import OPENAI, RELEASE
from tvtsv2_mm.registry import MODELS


@pytest.mark.parametrize('size', ['vit-b16', 'vit-b32', 'vit-l14', 'vit-h14'])
def test_a_release_is_told_by_its_sizes(size):
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / f'tvtsv2_{size}.py')
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        state = MODELS.build(cfg.model).state_dict()
    release, _ = convert_names(state, RELEASE, to_foreign=True)
    release = {f'module.{key}': value for key, value in release.items()}
    assert config_of_checkpoint(dict(state_dict=release), 'x.pth').model == cfg.model

    bare = {key: value for key, value in release.items() if 'pred_model' not in key}
    assert published_config(bare, 'x.pth').model == dict(cfg.model, sorting_head=None)


def test_what_cannot_be_told_asks_for_the_config():
    state = build_tiny_model().state_dict()
    release, _ = convert_names(state, RELEASE, to_foreign=True)
    with pytest.raises(ValueError, match=r'width 96 .* 16 pixels.*give the config'):
        published_config(release, 'x.pth')
    clip, _ = convert_names(state, OPENAI, to_foreign=True)
    with pytest.raises(ValueError, match=r'x\.pth has the layout OpenAI.*give the config'):
        published_config(clip, 'x.pth')


@pytest.mark.parametrize('place', [('meta', ), ('message_hub', 'runtime_info')])
def test_our_own_checkpoint_carries_its_config(place):
    cfg = Config.fromfile(CONFIG)
    checkpoint = dict(cfg=cfg.pretty_text)
    for key in reversed(place):
        checkpoint = {key: checkpoint}
    assert config_of_checkpoint(checkpoint, 'x.pth') == cfg._cfg_dict


@pytest.mark.parametrize('text', [
    'import os', "a = __import__('os')", 'a = dict(b=open)', 'a.b = 1', 'a = b = 1', 'a = [x]',
    "a = {'k': f()}"])
def test_a_config_in_a_checkpoint_is_not_run(text):
    with pytest.raises(ValueError, match='more than literals'):
        literal_config(text)
