"""Models of MMAction2 and mmpretrain as a user of the tools meets them; our heads on theirs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS as MMACTION_MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from tests.openmmlab_models import randomize
from tests.test_tools.protocol_data import (
    CLIPS,
    CONFIGS,
    SENTENCES,
    SMALL,
    make_captions,
    make_recognition,
    save_checkpoint,
    small_options,
    write_jsonl,
)
from tests.test_tools.test_protocols import result_of, unit
from tvtsv2_mm.apis.features.shards import load_features
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import IMAGEBIND, INTERNVIDEO, OPENAI, VICLIP
from tvtsv2_mm.datasets.frame_indices import clip_frames
from tvtsv2_mm.evaluation.probes import read_cache
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.video.opening import open_video

PROBE = 'openmmlab_linear-probe_hmdb51.py'
THEIRS = '''
default_scope = 'mmaction'
model = dict(
    type='Recognizer3D',
    backbone=dict(type='VisionTransformer', img_size=224, patch_size=56, embed_dims=24, depth=2,
                  num_heads=2, num_frames=4),
    cls_head=dict(type='TimeSformerHead', num_classes=5, in_channels=24),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[110.0, 111.0, 112.0],
                           std=[50.0, 51.0, 52.0], format_shape='NCTHW'))
'''
MEAN = torch.tensor([110.0, 111.0, 112.0]).view(3, 1, 1, 1)
STD = torch.tensor([50.0, 51.0, 52.0]).view(3, 1, 1, 1)
OPTIONS = [option for option in small_options(PROBE) if not option.startswith('model.')]
BACKBONE = ['model.backbone.config=theirs.py', 'model.backbone.num_frames=4']


def read_frames(path):
    """4 middle frames, the short side scaled to 224, the middle: float32 (4, 224, 224, 3)."""
    reader = open_video(str(path), short_side=224, interpolation='bilinear')
    frames = clip_frames(0, reader.num_frames, 4, 1)[0]
    clip = reader.get_frames(np.concatenate([frames, np.full(4 - len(frames), frames[-1])]))
    reader.close()
    top, left = round((clip.shape[1] - 224) / 2), round((clip.shape[2] - 224) / 2)
    return clip[:, top:top + 224, left:left + 224].astype(np.float32)


@pytest.fixture
def theirs(tmp_path):
    """A config and a checkpoint of MMAction2 with random weights; the recognizer."""
    (tmp_path / 'theirs.py').write_text(THEIRS)
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MMACTION_MODELS.build(Config.fromfile(tmp_path / 'theirs.py').model)
    torch.manual_seed(0)
    randomize(model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=THEIRS)), tmp_path / 'theirs.pth')
    return model.eval()


@pytest.fixture
def hmdb51(tmp_path):
    """Test videos are copies of the training videos under other names, and one more."""
    root = tmp_path / 'data' / 'hmdb51'
    trained, labels = make_recognition(root, 'train_split1.txt', 'test_split1.txt')
    paths = [f'copy_of_{Path(path).name}' for path in trained]
    for path, copy in zip(trained, paths, strict=True):
        shutil.copy(root / 'videos' / path, root / 'videos' / copy)
    shutil.copy(CLIPS / 'rotated_90.mov', root / 'videos')
    (root / 'annotations' / 'test_split1.txt').write_text(''.join(
        f'{path} {label}\n' for path, label in zip(
            [*paths, 'rotated_90.mov'], [*labels, 2], strict=True)))
    return root


def test_the_config_at_full_size():
    """Sizes and pixels are those of MMAction2's own config."""
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(Config.fromfile(CONFIGS / PROBE).model)
    assert (model.backbone.embed_dim, model.backbone.token_frames) == (768, 8)
    assert model.cls_head.fc.in_features == 768
    assert model.data_preprocessor.built_with['mean'] == (123.675, 116.28, 103.53)


def test_a_head_on_their_frozen_backbone(run, tmp_path, theirs, hmdb51):
    options = ['--cfg-options', *OPTIONS, *BACKBONE, 'model.cls_head.embed_dim=24']
    runner = run('train', CONFIGS / PROBE, '--work-dir', 'theirs', *options,
                 'load_from=theirs.pth', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
    for key, value in theirs.backbone.state_dict().items():  # nothing of it was trained
        torch.testing.assert_close(runner.model.backbone.net.state_dict()[key].cpu(), value)
    run('test', CONFIGS / PROBE, 'theirs/epoch_1.pth', '--work-dir', 'test', *options)
    tested = result_of(tmp_path / 'test')
    assert tested['backbone'] == 'mmaction.VisionTransformer' and tested['views']['frames'] == 4
    assert tested['checkpoint']['keys']['new'] == []


def test_one_table_of_peers(run, tmp_path, theirs, hmdb51, capsys):
    """A backbone of theirs beside ours: probes and features, by the same tools."""
    own = 'vit-b16_linear-probe_hmdb51.py'
    save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'own.pth')
    run('probe_features', 'extract', CONFIGS / PROBE, 'theirs.pth', '--out',
        'theirs.npz', '--token-grid', 2, '--cfg-options', *OPTIONS, *BACKBONE)
    run('probe_features', 'extract', CONFIGS / own, 'own.pth', '--out', 'own.npz',
        '--cfg-options', *small_options(own))
    cache = read_cache('theirs.npz')
    assert cache.tokens['test'].shape == (6, 2 * 2 * 2, 24)  # of two frames, as VideoMAE has them
    # Through their own recognizer, from the frames on.
    embeds = []
    for path in cache.names['test'][[0, 5]]:
        clip = torch.from_numpy(read_frames(hmdb51 / 'videos' / path))
        pixels = (clip.permute(3, 0, 1, 2) - MEAN) / STD
        with torch.no_grad():
            embeds += [*theirs.extract_feat(pixels[None, None], stage='backbone')[0].numpy()]
    np.testing.assert_allclose(cache.embeds['test'][[0, 5]], embeds, atol=2e-2)

    with pytest.warns(UserWarning):
        for name in ('theirs', 'own'):
            run('probe_features', 'fit', f'{name}.npz', '--probes', 'knn', 'logistic')
        run('probe_features', 'fit', 'theirs.npz', '--probes', 'attentive')
    capsys.readouterr()
    run('compare_results', *(f'{name}_{kind}.json' for name in ('theirs', 'own')
                             for kind in ('knn', 'logistic')))
    rows = {line.split('|')[1].strip(' *'): [cell.strip() for cell in line.split('|')[2:6]]
            for line in capsys.readouterr().out.splitlines() if line.startswith('|')}
    assert rows['backbone'] == ['mmaction.VisionTransformer'] * 2 + ['SpaceTimeViT'] * 2
    assert rows['frames'] == ['4', '4', '12', '12']
    assert rows['checkpoint layout'] == ['OpenMMLab'] * 2 + ['tvtsv2_mm'] * 2
    assert rows[''] == ['openmmlab_linear-probe_hmdb51'] * 2 + ['vit-b16_linear-probe_hmdb51'] * 2

    (tmp_path / 'peer.py').write_text(
        f"_base_ = {str(CONFIGS / PROBE)!r}\nmodel = dict(cls_head=None, backbone=dict("
        "config='theirs.py', num_frames=4))\n")
    run('extract_features', hmdb51 / 'videos', 'features', '--checkpoint',
        'theirs.pth', '--config', 'peer.py', '--device', 'cpu', '--num-workers', 0)
    meta = json.loads((tmp_path / 'features' / 'meta.json').read_text())
    assert meta['embed_dim'] == 24
    found = load_features('features')
    np.testing.assert_allclose(found.features[found.videos.index('rotated_90.mov')],
                               unit(cache.embeds['test'][5].astype(np.float64)), atol=5e-3)


def test_a_backbone_without_tokens_has_the_other_probes(run, tmp_path, hmdb51, capsys):
    """An image encoder of mmpretrain, frame by frame, of which the network alone was saved."""
    (tmp_path / 'images.py').write_text(
        f"_base_ = {str(CONFIGS / PROBE)!r}\nmodel = dict(backbone=dict(config=None, "
        "num_frames=2, backbone=dict(type='mmpretrain.ConvNeXt', arch=dict("
        "depths=[1, 1, 1, 1], channels=[8, 8, 8, 8]))))\n")
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        net = MMPRETRAIN_MODELS.build(dict(type='ConvNeXt', arch=dict(
            depths=[1, 1, 1, 1], channels=[8, 8, 8, 8])))
    torch.save(net.state_dict(), tmp_path / 'net.pth')
    run('probe_features', 'extract', 'images.py', 'net.pth', '--out', 'net.npz',
        '--cfg-options', *OPTIONS)
    assert read_cache('net.npz').tokens['train'].shape == (5, 0, 8)
    with pytest.warns(UserWarning):
        run('probe_features', 'fit', 'net.npz')
    assert [path.name for path in sorted(tmp_path.glob('net_*.json'))] == [
        'net_knn.json', 'net_logistic.json']
    with pytest.raises(SystemExit):
        run('probe_features', 'fit', 'net.npz', '--probes', 'attentive')
    assert 'gives none: fit logistic or knn' in capsys.readouterr().err


def test_clip4clip_in_our_retrieval(run, tmp_path):
    name = 'clip4clip-b32_retrieval_msrvtt.py'
    make_captions(tmp_path / 'data' / 'msrvtt', [dict(captions=[text]) for text in SENTENCES])
    write_jsonl(tmp_path / 'data' / 'msrvtt' / 'annotations' / 'train.jsonl',
                [dict(path='x.mp4', captions=['a dog runs'])])
    model = save_checkpoint(name, tmp_path / 'own.pth')
    weights, _ = convert_names(model.state_dict(), OPENAI, to_foreign=True)
    config = ("model = dict(type='CLIPSimilarity', data_preprocessor=dict(preprocessors=dict("
              'imgs=dict(mean=[122.771, 116.746, 104.093], std=[68.500, 66.632, 70.323]))))')
    # Its heads are told by the width, as in all of OpenAI's: 64 of them here.
    torch.save(dict(state_dict={f'clip.{key}': value for key, value in weights.items()},
                    meta=dict(cfg=config)), tmp_path / 'theirs.pth')
    runner = run('test', CONFIGS / name, 'theirs.pth', '--work-dir', 'out', '--cfg-options',
                 *small_options(name), 'model.backbone.heads=1', 'model.neck.heads=1')
    result = result_of(tmp_path / 'out')
    assert result['views']['short_side'] == 256 and result['backbone'] == 'FramewiseViT'
    videos, texts = [], []
    with torch.no_grad():
        for batch in runner.test_dataloader:
            data = runner.model.data_preprocessor(batch)
            for clip, tokens in zip(data['inputs']['video'], data['inputs']['tokens'],
                                    strict=True):
                frames = runner.model.backbone(clip[:, None])[0]  # of one frame there is no mean
                videos.append(unit(frames.mean(dim=0).numpy()))
                texts.append(unit(runner.model.neck(tokens).numpy())[0])
    scores = np.stack(texts) @ np.stack(videos).T
    expected = 100 * np.mean(scores.argmax(axis=1) == np.arange(5))
    assert result['metrics']['raw']['t2v/R1'] == pytest.approx(expected)


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes')
    build_narrated_shapes(root, NarratedShapesOptions(
        transcript_videos=(8, 4), clip_rounds=(1, 1), order_clips=(0, 0)))
    return root


@pytest.mark.parametrize('name', ['tiny_videomae', 'tiny_uniformerv2'])
def test_sorting_and_contrast_on_a_backbone_of_mmaction2(run, tmp_path, shapes, name):
    """A step with transcripts and one with captions; then sorting and retrieval are tested."""
    options = ['--cfg-options', f'data_root={shapes}', 'train_dataloader.batch_size=36',
               'test_dataloader.batch_size=4', 'val_dataloader.batch_size=4']
    config = CONFIGS / f'{name}.py'
    (tmp_path / 'short.py').write_text(
        f"_base_ = {str(config)!r}\ntrain_cfg = dict(max_epochs=1, val_interval=1)\n"
        "default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))\n"
        "train_dataloader = dict(dataset=dict(datasets=[dict(own, times=times) for own, times in "
        "zip(_base_.train_dataloader.dataset.datasets, (9, 1))]))\n")
    runner = run('train', 'short.py', '--work-dir', 'out', *options)
    assert runner.iter == 3
    scalars = runner.message_hub.log_scalars
    assert all(np.isfinite(scalars[f'train/{key}'].data[0]).all()
               for key in ('loss_contrastive', 'loss_sorting'))
    frozen = [key for key, value in runner.model.named_parameters() if not value.requires_grad]
    assert frozen and all(key.startswith('neck.clip.text_model.encoder.layers.') for key in frozen)
    state = runner.optim_wrapper.optimizer.state
    learnt = [key for key, value in runner.model.named_parameters()
              if key.startswith('backbone.net.') and state[value]['exp_avg'].any()]
    assert len(learnt) > 20

    tested = run('test', config, 'out/epoch_1.pth', '--work-dir', 'sorting', *options)
    torch.testing.assert_close(dict(tested.model.state_dict()),
                               dict(runner.model.state_dict()))
    if name != 'tiny_videomae':
        return
    for words in (dict(), dict(texts_only=True)):
        infer = TVTSv2Inferencer(str(config), 'out/epoch_1.pth', device='cpu', **words)
        texts = infer.embed_texts(['a red circle moves left'])
    expected = tested.model.cpu().neck(infer._tokenizer(['a red circle moves left']))
    np.testing.assert_allclose(texts, unit(expected.detach().numpy()), atol=1e-5)
    with pytest.raises(ValueError, match=r"backbone.type is 'OpenMMLabBackbone'"):
        TVTSv2Inferencer(weights='out/epoch_1.pth', device='cpu')
    (tmp_path / 'retrieval.py').write_text(
        f"_base_ = {str(config)!r}\nmodel = dict(sorting_head=None)\n"
        'test_dataloader = dict(dataset=dict(_base_.captions_test, _delete_=True))\n'
        "test_evaluator = dict(_delete_=True, type='RetrievalMetric')\n"
        "custom_hooks = [dict(type='ResultFileHook')]\n")
    run('test', 'retrieval.py', 'out/epoch_1.pth', '--work-dir', 'retrieval', *options)
    assert 0 < result_of(tmp_path / 'retrieval')['metrics']['raw']['t2v/MnR'] < 108


PEERS = {'imagebind-huge': IMAGEBIND, 'internvideo-b16': INTERNVIDEO, 'viclip-b16': VICLIP}
OWN_SIZES = {'internvideo-b16': ['model.backbone.decoders=1']}


@pytest.fixture
def peer(request, tmp_path):
    """Options of a small model, and its weights in their authors' layout as theirs.pth."""
    name = request.param
    cfg = Config.fromfile(CONFIGS / f'{name}_retrieval_msrvtt.py')
    own = dict(option.split('=') for option in OWN_SIZES.get(name, ()))
    cfg.merge_from_dict(SMALL | {key: int(value) for key, value in own.items()})
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
    weights, left = convert_names(model.state_dict(), PEERS[name], to_foreign=True)
    assert left == []
    torch.save(dict(state_dict=weights), tmp_path / 'theirs.pth')
    return name, model


def options_of(name, config):
    return ['--cfg-options', *small_options(config), *OWN_SIZES.get(name, ())]


@pytest.mark.parametrize('peer', PEERS, indirect=True)
def test_retrieval_features_and_search_of_a_peer(run, tmp_path, peer):
    name, model = peer
    config = f'{name}_retrieval_msrvtt.py'
    root = tmp_path / 'data' / 'msrvtt'
    paths = make_captions(root, [dict(captions=[text]) for text in SENTENCES])
    write_jsonl(root / 'annotations' / 'train.jsonl', [dict(path='x', captions=['a dog runs'])])
    runner = run('test', CONFIGS / config, 'theirs.pth', '--work-dir', 'out',
                 *options_of(name, config))
    result = result_of(tmp_path / 'out')
    assert result['checkpoint']['keys']['layout'] == PEERS[name].name
    views = {'imagebind-huge': (2, 5, 3), 'internvideo-b16': (8, 1, 1), 'viclip-b16': (8, 1, 1)}
    assert tuple(result['views'][key] for key in ('frames', 'clips', 'crops')) == views[name]

    # Each view alone, from the pixels on.
    embeds, (frames, clips, crops) = [], views[name]
    with torch.no_grad():
        for batch in runner.test_dataloader:
            data = runner.model.data_preprocessor(batch)
            for clip in data['inputs']['video']:
                own = [unit(model.backbone(view[None])[0][0].numpy())
                       for view in clip.unflatten(0, (clips * crops, frames))]
                embeds.append(unit(np.mean(own, axis=0)))
    (tmp_path / 'small.py').write_text(f'_base_ = {str(CONFIGS / config)!r}\n')
    cfg = Config.fromfile(tmp_path / 'small.py')
    cfg.merge_from_dict({key: int(value) for key, value in (
        option.split('=') for option in options_of(name, config)[1:] if 'model.' in option)})
    cfg.dump(tmp_path / 'small.py')
    infer = TVTSv2Inferencer(str(tmp_path / 'small.py'), 'theirs.pth', device='cpu',
                             show_progress=False)
    files = [str(root / 'videos' / path) for path in paths]
    found = infer(files, batch_size=2)['predictions']
    np.testing.assert_allclose([one['features'] for one in found], embeds, atol=1e-5)
    similarity = infer(files, task='retrieval', texts=SENTENCES, top_k=2)['similarity']
    expected = 100 * np.mean(similarity.argmax(axis=0) == np.arange(5))
    assert result['metrics']['raw']['t2v/R1'] == pytest.approx(expected)


@pytest.mark.parametrize('peer', PEERS, indirect=True)
def test_zero_shot_and_probe_of_a_peer(run, tmp_path, peer):
    name, _ = peer
    config = f'{name}_zero-shot_kinetics400.py'
    make_recognition(tmp_path / 'data' / 'kinetics400', 'train.txt', 'val.txt')
    run('test', CONFIGS / config, 'theirs.pth', '--work-dir', 'out', *options_of(name, config))
    assert 0 <= result_of(tmp_path / 'out')['metrics']['raw']['acc/top1'] <= 100

    (tmp_path / 'probe.py').write_text(f'''
_base_ = [{str(CONFIGS / '..' / '_base_' / 'models' / (name.replace('-', '_') + '.py'))!r},
          {str(CONFIGS / '..' / '_base_' / 'protocols' / 'linear-probe_kinetics400.py')!r}]
model = _base_.protocol_model
''')
    options = [option for option in options_of(name, config) if '.neck.' not in option]
    if name == 'imagebind-huge':  # pairs of more than its two frames
        options.append('model.backbone.num_frames=4')
    (tmp_path / 'data/kinetics400/annotations/val.txt').write_text('short.mp4 1\n')
    (tmp_path / 'data/kinetics400/annotations/train.txt').write_text(''.join(
        f'{path} {label}\n' for path, label in zip(
            ['waving/part_0.mp4', 'drawing/example.mp4', 'speaking/grid_swwp2s.mpg'],
            [0, 1, 2], strict=True)))
    run('probe_features', 'extract', 'probe.py', 'theirs.pth', '--out', 'x.npz', '--token-grid', 2,
        *options, 'test_dataloader.dataset.pipeline.1.num_frames=4')
    cache = read_cache('x.npz')
    frames = 2 if name == 'imagebind-huge' else 4
    assert cache.tokens['test'].shape == (1, frames * 2 * 2, 32)
    assert cache.embeds['train'].shape == (3, 32)
