import pytest
import torch
from mmengine.runner import load_checkpoint

from tests.clip_models import embed, make_hugging_face, make_model, make_open_clip, randomize
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.registry import MODELS

PARTS = ('backbone', 'neck')


def with_pretrained_parts(path) -> VideoTextModel:
    """A model of which each part takes its own weights from the file."""
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    parts = {part: dict(getattr(make_model(), part).built_with) for part in PARTS}
    parts['backbone'].update(type='SpaceTimeViT', num_frames=4)
    parts['neck'].update(type='PartiallyFrozenTextEncoder', frozen_layers=1)
    torch.manual_seed(1)
    return VideoTextModel(
        **{part: dict(cfg, init_cfg=init_cfg) for part, cfg in parts.items()}).eval()


@pytest.mark.parametrize('make', [make_hugging_face, make_open_clip])
def test_parts_take_their_weights_from_a_foreign_model(tmp_path, make):
    clip = make('quick_gelu').eval()
    randomize(clip)
    torch.save(clip.state_dict(), tmp_path / 'clip.pth')
    model = with_pretrained_parts(tmp_path / 'clip.pth')
    model.init_weights()
    torch.nn.init.zeros_(model.backbone.temporal_embedding)
    for one, other in zip(embed(model), embed(clip), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    for part in PARTS:
        report = getattr(model, part).load_report
        assert report['taken'] and report['unneeded'] and report['assumed']


def test_a_backbone_alone_takes_its_weights_from_a_checkpoint_of_ours(tmp_path):
    source = make_model()
    randomize(source)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'own.pth')
    cfg = dict(source.backbone.built_with, type='tvtsv2_mm.SpaceTimeViT', num_frames=4,
               init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'own.pth')))
    backbone = MODELS.build(cfg)
    backbone.init_weights()
    for key, value in source.backbone.state_dict().items():
        assert backbone.state_dict()[key].equal(value)
    backbone = MODELS.build(cfg | dict(heads=2))
    with pytest.raises(CheckpointError, match=r'own\.pth: .*\n.*backbone\.heads: 1 .*, 2 by'):
        backbone.init_weights()
    torch.save(dict(state_dict={'fc.weight': torch.ones(2)}), tmp_path / 'own.pth')
    with pytest.raises(CheckpointError, match='layout'):
        backbone.init_weights()


def test_other_initialisation_is_mmengines():
    backbone = MODELS.build(dict(
        make_model().backbone.built_with, type='SpaceTimeViT', num_frames=4,
        init_cfg=dict(type='Constant', layer='Linear', val=3.0)))
    backbone.init_weights()
    assert (backbone.resblocks[0].mlp.c_fc.weight == 3).all()


@pytest.mark.parametrize('part', PARTS)
def test_a_list_is_taken_as_mmengine_takes_it(tmp_path, part):
    """The checkpoint last, wherever it stands; what it lacks keeps what the others gave."""
    clip = make_hugging_face('quick_gelu')
    randomize(clip)
    torch.save(clip.state_dict(), tmp_path / 'clip.pth')
    model, expected = (with_pretrained_parts(tmp_path / 'clip.pth') for _ in range(2))
    own = getattr(model, part)
    own.init_cfg = [own.init_cfg, dict(type='Constant', layer='Linear', val=3.0)]
    for each in (model, expected):
        each.init_weights()
    assert own.load_report == getattr(expected, part).load_report
    for key, value in getattr(expected, part).state_dict().items():
        if '.timeattn.' not in key:
            assert own.state_dict()[key].equal(value), key
    if part == 'backbone':
        assert (own.resblocks[1].timeattn.qkv.weight == 3).all()


@pytest.mark.parametrize(('change', 'message'), [
    (lambda cfg: [cfg, cfg], r'^backbone\.init_cfg: each of its 2 entries of type Pretrained'),
    (lambda cfg: [3], r'^backbone\.init_cfg: .* a list of such, is needed here, not \[3\]'),
    (lambda cfg: 'own.pth', r"^backbone\.init_cfg: a dict with a type, .* not 'own\.pth'"),
    (lambda cfg: dict(cfg, prefix='backbone.'), r'^backbone\.init_cfg\.prefix: .* has no prefix'),
    (lambda cfg: dict(type='Pretrained'), r'^backbone\.init_cfg needs checkpoint'),
    (lambda cfg: dict(cfg, checkpoint=None), r'^backbone\.init_cfg\.checkpoint: a file is needed'),
])
def test_what_would_be_ignored(change, message):
    backbone = make_model().backbone
    backbone.init_cfg = change(dict(type='Pretrained', checkpoint='own.pth'))
    with pytest.raises(ValueError, match=message):
        backbone.init_weights()


def test_a_model_of_others_is_not_left_with_random_weights(tmp_path):
    """What mmengine's loading of a whole checkpoint would only warn of."""
    clip = make_hugging_face('quick_gelu')
    torch.save(clip.state_dict(), tmp_path / 'clip.pth')
    source = make_model()
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'own.pth')
    recognizer = torch.nn.ModuleDict(dict(
        backbone=make_model().backbone, cls_head=torch.nn.Linear(2, 2)))
    with pytest.raises(CheckpointError, match=r'nothing of backbone\.\* .*'
                       r'backbone\.init_cfg=.*RecognizerWeightsHook'):
        load_checkpoint(recognizer, str(tmp_path / 'clip.pth'))
    load_checkpoint(recognizer, str(tmp_path / 'own.pth'))
    for key, value in source.backbone.state_dict().items():
        assert recognizer['backbone'].state_dict()[key].equal(value)
    cfg = dict(source.backbone.built_with, type='SpaceTimeViT', num_frames=2)
    other = torch.nn.ModuleDict(dict(backbone=MODELS.build(cfg)))
    with pytest.raises(CheckpointError, match=r'sizes differ:\n  backbone\.temporal_embedding: \('):
        load_checkpoint(other, str(tmp_path / 'own.pth'))


@pytest.mark.parametrize('lora', [None, dict(rank=2)])
def test_names_of_another_backbone_are_not_this_ones(tmp_path, lora):
    """A recognizer of MMAction2 calls every backbone so; adapters do not hide that it is empty."""
    cfg = dict(make_model().backbone.built_with, type='SpaceTimeViT', num_frames=4, lora=lora)
    recognizer = torch.nn.ModuleDict(dict(backbone=MODELS.build(cfg)))
    for key in ('backbone.cls_token', 'visual.proj'):
        torch.save(dict(state_dict={key: torch.ones(1)}), tmp_path / 'other.pth')
        with pytest.raises(CheckpointError, match=r'nothing of backbone\.\* .*SpaceTimeViT'):
            load_checkpoint(recognizer, str(tmp_path / 'other.pth'))


def test_a_part_takes_all_or_nothing(tmp_path):
    """But for what is new in time, each kind as a whole."""
    source = make_model().backbone
    weights = {f'backbone.{key}': value for key, value in source.state_dict().items()}

    def load(*without):
        torch.save({key: value for key, value in weights.items()
                    if not any(part in key for part in without)}, tmp_path / 'some.pth')
        load_checkpoint(torch.nn.ModuleDict(dict(backbone=make_model().backbone)),
                        str(tmp_path / 'some.pth'))

    load()
    load('temporal_embedding', 'ln_3', 'timeattn')
    for part in ('resblocks.1.attn', 'resblocks.1.timeattn', 'conv1'):
        with pytest.raises(
                CheckpointError, match=rf'missing in the checkpoint:\n  backbone\.{part}'):
            load(part)
    weights['backbone.resblocks.7.ln_1.bias'] = torch.ones(2)
    with pytest.raises(CheckpointError, match=r'not used by the model:\n  backbone\.resblocks\.7'):
        load()
    with pytest.raises(CheckpointError, match=(
            r'what it has of backbone\.\* looks like another network: 9 of the 33 names of the '
            r"config's are there; it lacks backbone\.resblocks\.0\.ln_1\.weight, .*\(24 in all\), "
            r"and has backbone\.resblocks\.7\.ln_1\.bias, which the config's has not$")):
        load('.0.', '.1.')
