from functools import cache

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from tests.hugging_face_models import make_folder
from tests.tiny_model import CONFIG, ROOT, build_tiny_model
from tvtsv2_mm.apis.clips import clip_transforms
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint
from tvtsv2_mm.checkpoints.files import read_weights
from tvtsv2_mm.checkpoints.layouts import OPENAI, RELEASE
from tvtsv2_mm.checkpoints.model_config import (
    config_of_checkpoint,
    literal_config,
    published_config,
)
from tvtsv2_mm.registry import MODELS


@cache
def tiny_weights():
    return build_tiny_model().state_dict()


@pytest.mark.parametrize('size', ['vit-b16', 'vit-b32', 'vit-l14', 'vit-h14'])
def test_a_release_is_told_by_its_sizes(size):
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / f'tvtsv2_{size}.py')
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        state = MODELS.build(cfg.model).state_dict()
    release, _ = convert_names(state, RELEASE, to_foreign=True)
    release = {f'module.{key}': value for key, value in release.items()}
    assert config_of_checkpoint(dict(state_dict=release), 'x.pth').model == cfg.model

    bare = {key.removeprefix('module.'): value for key, value in release.items()
            if 'pred_model' not in key}
    assert published_config(bare, 'x.pth').model == dict(cfg.model, sorting_head=None)


@pytest.mark.parametrize(('kind', 'untold'), [
    ('clip', r'give the config(.|\n)*backbone\.heads'), ('siglip', r'neck\.tokenizer=NAME')])
def test_a_folder_and_what_is_made_of_it_tell_their_model(kind, untold, tmp_path):
    folder, file = tmp_path / 'folder', tmp_path / 'own.pth'
    make_folder(folder, kind)
    convert_checkpoint(folder, file)
    weights, found = {}, {}
    for path in (folder, file):
        weights[path], _ = read_weights(path)
        config = config_of_checkpoint(weights[path], str(path))
        found[path] = config.model
        # The frames of a clip are the protocol's.
        assert clip_transforms(config)[1]['num_frames'] == 12
        with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
            load_checkpoint(MODELS.build(config.model), str(path))
    assert found[folder] == found[file]
    # Without what was said beside the tensors.
    bare = dict(weights[file])
    with pytest.raises(ValueError, match=rf'x\.pth.*{untold}'):
        config_of_checkpoint(bare, 'x.pth')


def test_what_cannot_be_told_asks_for_the_config():
    state = build_tiny_model().state_dict()
    release, _ = convert_names(state, RELEASE, to_foreign=True)
    with pytest.raises(ValueError, match=r'width 96 .* 16 pixels.*give the config'):
        published_config(release, 'x.pth')
    clip, _ = convert_names(state, OPENAI, to_foreign=True)
    with pytest.raises(ValueError, match=r'x\.pth has the layout OpenAI.*give the config'):
        config_of_checkpoint(clip, 'x.pth')


@pytest.mark.parametrize('place', [('meta', ), ('message_hub', 'runtime_info')])
def test_our_own_checkpoint_carries_its_config(place):
    cfg = Config.fromfile(CONFIG)
    checkpoint = dict(cfg=cfg.pretty_text)
    for key in reversed(place):
        checkpoint = {key: checkpoint}
    checkpoint['state_dict'] = tiny_weights()
    found = config_of_checkpoint(checkpoint, 'x.pth')
    assert found.model == cfg.model
    assert clip_transforms(found) == clip_transforms(cfg)


def recognizer(**changes):
    """A checkpoint of MMAction2's Recognizer3D with our backbone."""
    cfg = Config.fromfile(ROOT / 'configs/mmaction2/tiny_i3d-head.py')
    cfg.merge_from_dict({f'model.{key.replace("__", ".")}': changes[key] for key in changes})
    weights = {key: value for key, value in tiny_weights().items() if key.startswith('backbone.')}
    return dict(meta=dict(cfg=f'model = {cfg.model.to_dict()!r}'), state_dict=weights)


def test_of_a_recognizer_the_encoder_and_its_pixels_are_taken():
    model = config_of_checkpoint(recognizer(data_preprocessor__mean=[1.0, 2.0, 3.0]), 'x.pth').model
    assert model.type == 'VideoTextModel' and model.keys() == {
        'type', 'backbone', 'data_preprocessor'}
    assert 'output' not in model.backbone and model.backbone.width == 96
    assert model.data_preprocessor == dict(
        type='VideoTextDataPreprocessor', mean=[1.0, 2.0, 3.0], std=[58.395, 57.12, 57.375])


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(data_preprocessor__to_rgb=True), 'no ActionDataPreprocessor with mean and std'),
    (dict(data_preprocessor__mean=None), 'no ActionDataPreprocessor with mean and std'),
    (dict(data_preprocessor__std=['a/b'] * 3), 'neither a word nor numbers'),
    (dict(data_preprocessor__type='subprocess.getoutput'), 'no ActionDataPreprocessor'),
    (dict(backbone__type='ResNet3d'), "model.backbone.type is 'ResNet3d'"),
    (dict(backbone__width=10**9), 'neither a word nor numbers'),
])
def test_other_recognizers_need_a_config(changes, message):
    with pytest.raises(ValueError, match=rf'x\.pth: the config in the checkpoint.*{message}'):
        config_of_checkpoint(recognizer(**changes), 'x.pth')


@pytest.mark.parametrize('text', [
    'import os', "a = __import__('os')", 'a = dict(b=open)', 'a.b = 1', 'a = b = 1', 'a = [x]',
    "a = {'k': f()}"])
def test_a_config_in_a_checkpoint_is_not_run(text):
    with pytest.raises(ValueError, match='more than literals'):
        literal_config(text)


def changed(**changes):
    """A checkpoint of ours whose config has other values at ``a__b__c``."""
    cfg = Config.fromfile(CONFIG)._cfg_dict.to_dict()
    for path, value in changes.items():
        *keys, last = path.split('__')
        place = cfg
        for key in keys:
            place = next(step for step in place if step['type'] == key) if isinstance(
                place, list) else place[key]
        place[last] = value
    text = '\n'.join(f'{key} = {value!r}' for key, value in cfg.items())
    return dict(meta=dict(cfg=text), state_dict=tiny_weights())


EVIL = dict(type='subprocess.getoutput', cmd='touch MARKER')
STEP = 'test_dataloader__dataset__pipeline__OpenVideo'


@pytest.mark.parametrize('changes', [
    dict(model__backbone=EVIL),
    dict(model__neck=EVIL),
    dict(model__sorting_head=EVIL),
    dict(model__contrastive_head=EVIL),
    dict(model__data_preprocessor=EVIL),
    dict(model=EVIL),
    dict(model__type='subprocess.getoutput'),
    dict(model__type='mmaction.Recognizer3D'),
    dict(model__backbone__type='ResNet'),
    dict(model__backbone__type='antigravity'),
    dict(model__backbone__type=['SpaceTimeViT']),
    dict(model__backbone___scope_='subprocess'),
    dict(model__backbone___delete_=True),
    dict(model__backbone__activation=EVIL),
    dict(model__backbone__activation='/etc/passwd'),
    dict(model__backbone__activation=['a', EVIL]),
    dict(model__backbone__pooling='OpenMMLabBackbone'),
    dict(model__backbone__pooling=['AttentionPooling']),
    dict(model__backbone__rotary='ZeroShotHead'),
    dict(model__neck__width=10**9),
    dict(model__backbone__layers=10**5),
    dict(model__backbone__width=96 * 300, model__backbone__heads=300),
    dict(model__backbone__image_size=16 * 10**4),
    dict(model__backbone__num_frames=float('inf')),
    dict(model__backbone__no_such_argument=1),
    dict(model=None),
    dict(model=[1]),
    {f'{STEP}__backend': 'https://example.org/'},
    {f'{STEP}__backend': EVIL},
    {f'{STEP}__short_side': 10**9},
    {f'{STEP}__no_such_argument': 1},
    {'test_dataloader__dataset__pipeline__SampleClipFrames__num_clips': 10**6},
    dict(test_dataloader=[1]),
    dict(test_dataloader__dataset__pipeline=[1]),
])
def test_no_other_code_and_no_other_size_than_a_models_of_ours(changes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(changed(**changes), 'hostile.pth')
    with pytest.raises(ValueError, match=r'^hostile\.pth: the config in the checkpoint is not ta'):
        TVTSv2Inferencer(weights='hostile.pth', device='cpu')
    assert not (tmp_path / 'MARKER').exists()


@pytest.mark.parametrize('changes', [
    dict(custom_imports=dict(imports=['antigravity'])),
    dict(_base_=['/etc/passwd']),
    dict(model__init_cfg=dict(type='Pretrained', checkpoint='https://example.org/a.pth')),
    dict(model__backbone__init_cfg=dict(type='Pretrained', checkpoint='/nowhere/a.pth')),
    dict(model__cls_head=dict(type='ZeroShotHead', classes='/etc/passwd')),
    dict(model__cls_head=EVIL),
    dict(load_from='https://example.org/a.pth', visualizer=EVIL, default_hooks=dict(a=EVIL)),
    dict(test_dataloader__dataset__pipeline=[EVIL]),
    dict(test_dataloader__dataset__type='subprocess.getoutput'),
])
def test_what_a_model_does_not_need_is_left_out(changes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(changed(**changes), 'own.pth')
    infer = TVTSv2Inferencer(weights='own.pth', device='cpu')
    assert infer.cfg.keys() == {'model', 'test_dataloader'}
    assert infer.cfg.model == Config.fromfile(CONFIG).model
    assert not (tmp_path / 'MARKER').exists()


def test_any_text_gives_one_error():
    """What is no Python, nests without end, or was changed at random."""
    texts = ['a = (', 'a = "\ud800"', 'a = 1\0', 'a = ' + '[' * 5000, 'a = ' + '-' * 10**5 + '1',
             'a = dict(**1)', 'a = {[]: 1}', 'a = dict(1)', 'a = ' + '9' * 5000,
             '#' * 2_000_000, 'a = ' + '1+' * 50000 + '1', 'a = ' + '{1:' * 3000 + '1' + '}' * 3000]
    rng = np.random.default_rng(0)
    whole = changed()['meta']['cfg']
    for _ in range(200):
        place, count = rng.integers(len(whole)), rng.integers(40)
        inserted = ''.join(rng.choice(list("()[]{}=,:'*-.1ea\n"), rng.integers(4)))
        texts.append(whole[:place] + inserted + whole[place + count:])
    weights = tiny_weights()
    taken = 0
    for text in texts:
        try:
            config_of_checkpoint(dict(meta=dict(cfg=text), state_dict=weights), 'x.pth')
            taken += 1
        except ValueError as error:
            assert str(error).startswith('x.pth: ')
    assert taken < 150


@pytest.mark.parametrize('checkpoint', [
    [1], dict(state_dict=[1]), dict(state_dict=None),
    dict(a=1), {1: 2}, {'conv1.weight': 1}, dict(state_dict={'video_model.conv1.weight': 1}),
    dict(state_dict={'video_model.conv1.weight': torch.zeros(2)}), dict(meta=1, state_dict={})])
def test_other_content_gives_one_error(checkpoint):
    with pytest.raises(ValueError, match=r'x\.pth'):
        config_of_checkpoint(checkpoint, 'x.pth')
