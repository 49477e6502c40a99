"""Backbones of MMAction2 and mmpretrain as ours: embeddings and tokens are what theirs are."""

import pytest
import torch
from mmaction.registry import MODELS as MMACTION_MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from tests.clip_models import make_model
from tests.openmmlab_models import BACKBONES, make_backbone, model_cfg, randomize
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.models.backbones.openmmlab_backbone import read_model_config
from tvtsv2_mm.registry import MODELS

torch.manual_seed(0)
CLIPS = torch.randn(2, 4, 3, 32, 32)


def video(net):
    return net(CLIPS.transpose(1, 2))


def frames(net):
    return net(CLIPS.flatten(0, 1))


def of_map(x):
    """Embedding and tokens of a map (B, D, ...)."""
    return x.flatten(2).mean(dim=2), x.flatten(2).transpose(1, 2)


def of_frames(embeds, tokens):
    return embeds.view(2, 4, -1).mean(dim=1), tokens.reshape(2, -1, tokens.shape[-1])


def videomae(net):
    embeds = video(net)
    net.return_feat_map = True
    return embeds, net.fc_norm(of_map(video(net))[1])


def timesformer(net):
    heard = []
    net.norm.register_forward_hook(lambda module, inputs, output: heard.append(output))
    embeds = video(net)
    places = [1 + patch * 4 + frame for frame in range(4) for patch in range(16)]
    return embeds, heard[0][:, places]


def uniformerv2(net):
    heard = []
    net.transformer.resblocks[1].register_forward_hook(
        lambda module, inputs, output: heard.append(output))
    embeds = video(net)
    tokens = torch.stack([torch.cat([heard[0][1:, clip * 4 + frame] for frame in range(4)])
                          for clip in range(2)])
    return embeds, net.transformer.norm(tokens)


def mvit(net):
    [[patches, class_token]] = video(net)
    return class_token, of_map(patches)[1]


def all_tokens(net):
    [tokens] = frames(net)
    return of_frames(tokens[:, 0], tokens[:, 1:])


EXPECTED = {
    'TimeSformer': (timesformer, None), 'VideoMAE': (videomae, 2),
    'UniFormerV2': (uniformerv2, None), 'VideoSwin': (lambda net: of_map(video(net)), 2),
    'MViT': (mvit, 2), 'TSM': (lambda net: of_frames(*of_map(frames(net))), None),
    'ResNet': (lambda net: of_frames(*of_map(frames(net)[0])), None),
    'ViT, all tokens': (all_tokens, None),
}


@torch.no_grad()
@pytest.mark.parametrize('name', EXPECTED)
def test_embeddings_and_tokens_are_theirs(name):
    backbone = make_backbone(name)
    found = backbone(CLIPS)
    alone = backbone(CLIPS, class_only=True)
    expected, token_frames = EXPECTED[name]
    torch.testing.assert_close(found, expected(backbone.net))
    torch.testing.assert_close(alone[0], found[0])
    assert alone[1] is None and backbone.embed_dim == found[0].shape[1]
    assert backbone.token_frames == (token_frames or 4)


@torch.no_grad()
def test_a_vit_that_returns_its_class_token_gives_the_same():
    for one, other in zip(make_backbone('ViT')(CLIPS), make_backbone('ViT, all tokens')(CLIPS),
                          strict=True):
        torch.testing.assert_close(one, other)


def test_all_named_backbones_give_tokens_for_sorting_and_train():
    for name in ('TimeSformer', 'VideoMAE', 'UniFormerV2', 'VideoSwin'):
        with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
            model = MODELS.build(model_cfg(dict(
                type='OpenMMLabBackbone', backbone=BACKBONES[name], num_frames=4, image_size=32,
                embed_dim=16))).train()
        losses = model(dict(video=CLIPS, tokens=torch.randint(1, 80, (2, 3, 12))), mode='loss')
        sum(loss for key, loss in losses.items() if key.startswith('loss')).backward()
        lacking = {key for key, value in model.named_parameters()
                   if value.requires_grad and value.grad is None}
        assert 'loss_sorting' in losses and not lacking, name


def test_a_frozen_backbone_stays_as_it_is_and_its_projection_learns():
    backbone = make_backbone('UniFormerV2', frozen=True, embed_dim=8).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    embeds, tokens = backbone(CLIPS)
    torch.testing.assert_close(backbone(CLIPS)[0], embeds)  # nothing is dropped at random
    (embeds.sum() + tokens.sum()).backward()
    assert [key for key, value in backbone.named_parameters() if value.grad is not None] == [
        'projection.weight']
    torch.testing.assert_close(dict(backbone.state_dict()), before)  # batch statistics as well


@pytest.mark.parametrize(('clips', 'kept', 'message'), [
    (CLIPS, torch.zeros(2, 3, dtype=torch.int64), r'cannot leave patches out.*RandomTubeMask'),
    (torch.zeros(2, 4, 5, 3, 8, 8), None, r'cannot leave patches out.*RandomTubeMask'),
    (CLIPS[:, :3], None, r'built for clips .* of \(4, 3, 32, 32\), but got \(3, 3, 32, 32\)'),
    (CLIPS[..., :24], None, r'of \(4, 3, 32, 32\), but got \(4, 3, 32, 24\)')])
def test_clips_that_it_cannot_read(clips, kept, message):
    with pytest.raises(ValueError, match=message):
        make_backbone('VideoMAE')(clips, kept)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(backbone=None), 'either backbone='), (dict(config='x.py'), 'either backbone='),
    (dict(num_frames=16), r'mmaction.VisionTransformer reads neither clips of num_frames=16'),
    (dict(backbone=None, config='no.py'), r'backbone.config: there is no file no.py'),
    (dict(backbone=None, config='nopackage::a.py'), 'of nopackage, which is not installed'),
    (dict(backbone=dict(type='nopackage.ViT')), 'nopackage is not installed')])
def test_configs_that_make_no_backbone(options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make_backbone('VideoMAE', **options)


def test_frames_that_would_be_taken_for_other_clips():
    """UniFormerV2 reads 8 frames with t_size=4 as two clips."""
    with pytest.raises(ValueError, match='returns 2 embeddings for 1 clips'):
        make_backbone('UniFormerV2', num_frames=8)


def test_a_backbone_without_tokens_cannot_be_sorted_on():
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(model_cfg(dict(
            type='OpenMMLabBackbone', num_frames=4, image_size=32, embed_dim=16,
            backbone=dict(type='mmpretrain.ConvNeXt', arch='atto'))))
    inputs = dict(video=CLIPS, tokens=torch.randint(1, 80, (2, 3, 12)))
    for mode in ('loss', 'tensor'):
        with pytest.raises(ValueError, match=r'backbone mmpretrain.ConvNeXt returns none'):
            model(inputs, mode=mode)


def test_widths_that_differ():
    with pytest.raises(ValueError, match=r'backbone.embed_dim=24, neck.embed_dim=16'), \
            DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        MODELS.build(model_cfg(dict(type='OpenMMLabBackbone', num_frames=4, image_size=32,
                                    backbone=BACKBONES['VideoMAE'])))


CONFIG = '''
default_scope = 'mmaction'
model = dict(
    type='Recognizer3D', backbone={backbone},
    cls_head=dict(type='TimeSformerHead', num_classes=5, in_channels=24),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[100.0, 101.0, 102.0],
                           std=[50.0, 51.0, 52.0], format_shape='NCTHW'))
'''


@pytest.mark.parametrize('wrap', [lambda start: start, lambda start: [
    dict(type='TruncNormal', layer='Linear', std=0.02), start]])
def test_a_config_of_theirs_gives_backbone_and_pixels_and_no_download(tmp_path, wrap):
    start = dict(type='Pretrained', checkpoint='https://nowhere.invalid/a.pth')
    backbone = BACKBONES['UniFormerV2'] | dict(
        type='UniFormerV2', pretrained='ViT-B/16', clip_pretrained=True, init_cfg=wrap(start))
    (tmp_path / 'theirs.py').write_text(CONFIG.format(backbone=backbone))
    cfg = model_cfg(dict(type='OpenMMLabBackbone', num_frames=4, image_size=32, embed_dim=16,
                         config=str(tmp_path / 'theirs.py')))
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(cfg)
    model.init_weights()
    assert model.data_preprocessor.built_with == dict(mean=(100, 101, 102), std=(50, 51, 52))
    cfg['data_preprocessor'] = dict(cfg['data_preprocessor'], mean=[1.0, 101.0, 102.0])
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'), \
            pytest.warns(UserWarning, match=r'the backbone was trained with'):
        assert MODELS.build(cfg).data_preprocessor.built_with['mean'] == (1, 101, 102)


@pytest.mark.parametrize(('name', 'kind', 'mean'), [
    ('mmaction::recognition/videomae/vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400.py',
     'VisionTransformer', (123.675, 116.28, 103.53)),
    ('mmaction::recognition/uniformerv2/uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb'
     '.py', 'UniFormerV2', (114.75, 114.75, 114.75)),
    ('mmaction::recognition/timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb.py',
     'TimeSformer', (127.5, 127.5, 127.5)),
    ('mmaction::recognition/swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb'
     '.py', 'SwinTransformer3D', (123.675, 116.28, 103.53)),
    ('mmpretrain::resnet/resnet50_8xb32_in1k.py', 'ResNet', (123.675, 116.28, 103.53))])
def test_configs_of_the_installed_packages(name, kind, mean):
    backbone, pixels = read_model_config(name)
    assert (backbone['type'], pixels['mean']) == (kind, mean)
    assert not [key for key in backbone if key.startswith('pretrained')]


@pytest.mark.parametrize(('text', 'message'), [
    ('model = dict(type="X")', 'has no model.backbone'), ('model = (', 'cannot be read'),
    ('model = dict(backbone=dict(type="ResNet"))\n'
     'data_preprocessor = dict(mean=[1.0, 2.0, 3.0])', 'reads BGR')])
def test_configs_of_something_else(tmp_path, text, message):
    (tmp_path / 'x.py').write_text(text)
    with pytest.raises(ValueError, match=rf'x\.py.*{message}'):
        read_model_config(str(tmp_path / 'x.py'))


@pytest.fixture
def recognizer(tmp_path):
    """A recognizer of MMAction2 with a VideoMAE, and the checkpoint of it as mmengine writes it."""
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MMACTION_MODELS.build(dict(
            type='Recognizer3D', backbone=BACKBONES['VideoMAE'],
            cls_head=dict(type='TimeSformerHead', num_classes=5, in_channels=24)))
    randomize(model)
    text = CONFIG.format(backbone="dict(type='VisionTransformer')")
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=text, epoch=1)),
               tmp_path / 'theirs.pth')
    return model.eval()


@torch.no_grad()
def test_a_checkpoint_of_theirs_is_taken_and_what_is_left_is_told(recognizer, tmp_path):
    expected = recognizer.extract_feat(CLIPS.transpose(1, 2)[:, None], stage='backbone')[0]
    backbone = make_backbone('VideoMAE', init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'theirs.pth')))
    backbone.init_weights()
    torch.testing.assert_close(backbone(CLIPS)[0], expected, atol=1e-5, rtol=0)
    report = backbone.load_report
    assert report['unneeded'] == ['cls_head.fc_cls.bias', 'cls_head.fc_cls.weight']
    assert report['layout'] == 'OpenMMLab' and report['new'] == []

    cfg = model_cfg(dict(type='OpenMMLabBackbone', backbone=BACKBONES['VideoMAE'], num_frames=4,
                         image_size=32, embed_dim=16))
    cfg['data_preprocessor'].update(mean=[100.0, 101.0, 102.0], std=[50.0, 51.0, 52.0])
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model, other = MODELS.build(cfg).eval(), MODELS.build(cfg).eval()
    load_checkpoint(model, str(tmp_path / 'theirs.pth'))
    torch.testing.assert_close(model.backbone(CLIPS)[0], model.backbone.projection(expected))
    assert model.untrained_heads == {'sorting_head'}
    assert not any('data_preprocessor' in line for line in model.load_report['assumed'])
    # What we write goes on here.
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'ours.pth')
    load_checkpoint(other, str(tmp_path / 'ours.pth'))
    torch.testing.assert_close(dict(other.state_dict()), dict(model.state_dict()))
    assert other.load_report['new'] == [] and other.load_report['layout'] == 'tvtsv2_mm'


@torch.no_grad()
@pytest.mark.parametrize('cls_head', [None, dict(type='ZeroShotHead', classes=['a', 'b'])])
def test_a_text_tower_that_no_checkpoint_gave_is_not_tested(recognizer, tmp_path, cls_head):
    """Of a checkpoint of theirs it is random, and so is the projection to its width."""
    cfg = model_cfg(dict(type='OpenMMLabBackbone', backbone=BACKBONES['VideoMAE'], num_frames=4,
                         image_size=32, embed_dim=16))
    cfg['data_preprocessor'].update(mean=[100.0, 101.0, 102.0], std=[50.0, 51.0, 52.0])
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(cfg | dict(cls_head=cls_head)).eval()
    load_checkpoint(model, str(tmp_path / 'theirs.pth'))
    inputs = dict(video=CLIPS)
    if cls_head is None:
        inputs['tokens'] = torch.ones(2, 1, 8, dtype=torch.long)
    with pytest.raises(CheckpointError, match=r'no trained neck and no backbone\.projection'):
        model.predict(inputs, [ActionDataSample() for _ in CLIPS])
    model.has_learnt = True
    model._check_texts()


def test_pixels_that_the_checkpoint_tells_are_compared(recognizer, tmp_path):
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(model_cfg(dict(
            type='OpenMMLabBackbone', backbone=BACKBONES['VideoMAE'], num_frames=4, image_size=32,
            embed_dim=16)))
    with pytest.raises(CheckpointError, match=r'theirs.pth: .*\n  data_preprocessor.mean: '
                       r'\(100.0, 101.0, 102.0\) by the Recognizer3D in the checkpoint'):
        load_checkpoint(model, str(tmp_path / 'theirs.pth'))


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda w: w.pop('backbone.patch_embed.projection.bias'),
     r'missing in the checkpoint:\n  backbone.net.patch_embed.projection.bias'),
    (lambda w: w.update({'backbone.extra': torch.zeros(1)}),
     r'not used by the model:\n  backbone.net.extra'),
    (lambda w: w.update({'backbone.pos_embed': torch.zeros(1, 5, 24)}), r'sizes differ'),
    (lambda w: w.update({'backbone.pos_embed': torch.full((1, 32, 24), torch.nan)}), 'not finite'),
    (lambda w: [w.pop(key) for key in list(w) if key.startswith('backbone')], 'neither those of')])
def test_checkpoints_that_do_not_fit(recognizer, spoil, message):
    weights = dict(recognizer.state_dict())
    spoil(weights)
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(model_cfg(dict(
            type='OpenMMLabBackbone', backbone=BACKBONES['VideoMAE'], num_frames=4, image_size=32,
            embed_dim=16)))
    with pytest.raises(CheckpointError, match=message):
        model.load_state_dict(weights)


@pytest.mark.parametrize(('name', 'make', 'prefix', 'found'), [
    ('MViT', lambda: make_backbone('VideoMAE'), 'backbone.', '16 of the 31'),
    ('MViT', lambda: make_backbone('VideoMAE'), '', '16 of the 31'),
    ('UniFormerV2', lambda: make_model().backbone, 'backbone.', '5 of the 32')])
def test_a_checkpoint_of_another_network_is_one_line(tmp_path, name, make, prefix, found):
    """Of a recognizer, or bare; some names are the same."""
    torch.save({prefix + key: value for key, value in make_backbone(
        name).net.state_dict().items()}, tmp_path / 'other.pth')
    backbone = make()
    backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'other.pth'))
    with pytest.raises(CheckpointError, match=(
            rf'other\.pth: .* looks like another network: {found} names .* it lacks '
            r'backbone\..* \(\d+ in all\), and has backbone\..* \(\d+ in all\)')) as error:
        backbone.init_weights()
    assert len(str(error.value).splitlines()) == 1


def test_a_bare_network_of_more_blocks_loses_none(tmp_path):
    """A head beside it is left."""
    backbone = make_backbone('VideoMAE')
    weights = dict(backbone.net.state_dict(), **{'fc.weight': torch.ones(2)})
    backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'))
    torch.save(weights, tmp_path / 'net.pth')
    backbone.init_weights()
    assert backbone.load_report['unneeded'] == ['fc.weight']
    torch.save(weights | {'blocks.2.norm1.bias': torch.ones(24)}, tmp_path / 'net.pth')
    with pytest.raises(CheckpointError, match=(
            r'not used by the model:\n  backbone\.net\.blocks\.2\.norm1\.bias')):
        backbone.init_weights()


def test_a_checkpoint_of_theirs_in_a_model_of_ours(recognizer):
    model = make_model()
    with pytest.raises(CheckpointError, match='OpenMMLabBackbone reads the backbone'):
        model.load_state_dict(recognizer.state_dict())


@torch.no_grad()
def test_the_network_alone_and_under_wrappers(recognizer):
    backbone = make_backbone('VideoMAE')
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(dict(type='VideoTextModel', backbone=dict(
            type='OpenMMLabBackbone', backbone=BACKBONES['VideoMAE'], num_frames=4,
            image_size=32))).eval()
    model.load_state_dict(backbone.net.state_dict())
    torch.testing.assert_close(model.backbone(CLIPS), backbone(CLIPS))
    model.load_state_dict({f'module.{key}': value for key, value in
                           recognizer.state_dict().items()})
    torch.testing.assert_close(model.backbone(CLIPS)[0], video(recognizer.backbone))
