"""Our encoder in MMAction2's recognizers: its configs, pipelines, metrics, hooks and programs."""

import csv
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmaction.apis.inferencers import MMAction2Inferencer
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import digit_version

from tests.test_tools.protocol_data import PROGRAMS, ROOT, make_motions, run_theirs
from tests.tiny_model import build_tiny_model
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.models import LinearProbeHead, VideoTextModel

CONFIGS = ROOT / 'configs' / 'mmaction2'
HEADS = ('timesformer', 'i3d', 'attentive')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Six videos of 64 x 64 where the tiny configs look, and the frames of one of them."""
    folder = tmp_path_factory.mktemp('recognizers')
    _, pictures = make_motions(folder / 'data' / 'narrated_shapes')
    (folder / 'frames' / 'a').mkdir(parents=True)
    for number, picture in enumerate(pictures, start=1):
        cv2.imwrite(str(folder / 'frames' / 'a' / f'img_{number:05}.jpg'), picture[..., ::-1])
    (folder / 'frames' / 'list.txt').write_text('a 20 3\n')
    with (folder / 'frames' / 'ava.csv').open('w', newline='') as file:
        csv.writer(file).writerow(['a', 901, 0.1, 0.1, 0.9, 0.9, 4, 0])
    return folder


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv('LOCAL_RANK', '0')
    init_default_scope('mmaction')


def run_alone(program, *words):
    """Run a program of MMAction2, which imports nothing of ours; return what it says."""
    done = subprocess.run([sys.executable, PROGRAMS / program, *map(str, words)], text=True,
                          capture_output=True, check=False,
                          env=os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def config_of(head):
    return Config.fromfile(CONFIGS / f'tiny_{head}-head.py')


def build(head, weights=None, **changes):
    cfg = config_of(head)
    cfg.merge_from_dict(changes)
    model = MODELS.build(cfg.model).eval()
    if weights is not None:
        model.load_state_dict(torch.load(weights, weights_only=False)['state_dict'])
    return model


@pytest.fixture(scope='module')
def trained(folder):
    """Checkpoints of one epoch by MMAction2's own train.py, by head; made when asked for."""
    def train(head):
        path = folder / head / 'epoch_1.pth'
        if not path.exists():
            run_theirs('train.py', CONFIGS / f'tiny_{head}-head.py', '--work-dir', head,
                       '--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=3')
        return path

    return train


def plain_scores(model, inputs):
    """Of one sample (V, 3, T, 64, 64) uint8: the mean of the views' probabilities."""
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1, 1)
    with torch.no_grad():
        scores = [model.cls_head(model.backbone(((view - mean) / std)[None]))
                  for view in inputs.float()]
    return torch.cat(scores).softmax(dim=1).mean(dim=0)


@pytest.mark.parametrize('head', HEADS)
def test_each_head_trains_and_tests_by_their_programs(trained, head):
    """In testing the probabilities of two clips with three crops are averaged."""
    weights = trained(head)
    run_theirs('test.py', CONFIGS / f'tiny_{head}-head.py', weights, '--dump', f'{head}.pkl',
               '--work-dir', 'tested')
    predictions = pickle.loads(Path(f'{head}.pkl').read_bytes())
    model = build(head, weights)
    dataset = DATASETS.build(config_of(head).test_dataloader.dataset)
    for sample, predicted in zip(dataset, predictions, strict=True):
        assert sample['inputs'].shape == (6, 3, 8, 64, 64)
        torch.testing.assert_close(predicted['pred_score'], plain_scores(model, sample['inputs']),
                                   rtol=0, atol=1e-5)


def test_by_our_own_programs_too(run, folder, monkeypatch):
    monkeypatch.chdir(folder)
    config = CONFIGS / 'tiny_attentive-head.py'
    run('train', config, '--work-dir', 'own', '--cfg-options', 'train_cfg.max_epochs=1')
    runner = run('test', config, 'own/epoch_1.pth', '--work-dir', 'own')
    assert type(runner.model).__name__ == 'Recognizer3D'


CLIP = [dict(type='CenterCrop', crop_size=64), dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs')]
DENSE = dict(type='SampleFrames', clip_len=8, frame_interval=2, test_mode=True)
UNIFORM = dict(type='UniformSample', clip_len=8, test_mode=True)
VIDEO = dict(type='VideoDataset', ann_file='data/narrated_shapes/annotations/motions_test.txt',
             data_prefix=dict(video='data/narrated_shapes/videos'))
FRAMES = dict(data_prefix=dict(img='frames'))


@pytest.mark.parametrize(('dataset', 'views'), [
    (dict(VIDEO, pipeline=[dict(type='DecordInit'), dict(DENSE, num_clips=3),
                           dict(type='DecordDecode'), *CLIP]), 3),
    (dict(VIDEO, pipeline=[dict(type='PyAVInit'), UNIFORM, dict(type='PyAVDecode'),
                           dict(type='Resize', scale=(-1, 64)),
                           dict(type='ThreeCrop', crop_size=64), *CLIP[1:]]), 3),
    (dict(VIDEO, pipeline=[dict(type='OpenCVInit'), dict(type='SampleFrames', clip_len=1,
                                                         num_clips=8, test_mode=True),
                           dict(type='OpenCVDecode'), *CLIP]), None),
    (dict(FRAMES, type='RawframeDataset', ann_file='frames/list.txt',
          pipeline=[DENSE, dict(type='RawFrameDecode'), *CLIP]), 1),
    (dict(FRAMES, type='AVADataset', ann_file='frames/ava.csv', timestamp_start=901,
          timestamp_end=902, fps=20,
          pipeline=[dict(type='SampleAVAFrames', clip_len=8, frame_interval=1, test_mode=True),
                    dict(type='RawFrameDecode'), *CLIP]), 1),
], ids=['decord, dense', 'pyav, uniform, three crops', 'opencv, frame by frame', 'raw frames',
        'ava'])
def test_pipelines(dataset, views):
    """A clip of each of their data sets and ways of sampling."""
    model = build('timesformer')
    batch = pseudo_collate([DATASETS.build(dataset)[0]] * 2)
    if views is None:  # clips of one frame: what a Recognizer2D takes
        assert batch['inputs'][0].shape == (8, 3, 1, 64, 64)
        views = 8
    found = model.test_step(batch)
    torch.testing.assert_close(found[0].pred_score, plain_scores(model, batch['inputs'][0]))
    assert batch['inputs'][0].shape[0] == views


def test_metrics_and_pictures(trained):
    Path('shown.py').write_text(f"_base_ = ['{CONFIGS / 'tiny_i3d-head.py'}']\n" + '''
test_evaluator = [_base_.test_evaluator, dict(type='ConfusionMatrix')]
default_hooks = dict(
    visualization=dict(type='VisualizationHook', enable=True, interval=4, out_dir='shown'))
''')
    run_theirs('test.py', 'shown.py', trained('i3d'), '--work-dir', 'measured')
    [path] = Path('measured').glob('*/*.json')
    metrics = json.loads(path.read_text())
    run_theirs('test.py', CONFIGS / 'tiny_i3d-head.py', trained('i3d'), '--dump', 'scores.pkl',
               '--work-dir', 'tested')
    labels = [int(own['pred_label']) for own in pickle.loads(Path('scores.pkl').read_bytes())]
    counts = np.zeros((6, 6), int)
    np.add.at(counts, (np.arange(6), labels), 1)
    assert metrics['acc/top1'] == pytest.approx(np.trace(counts) / 6)
    assert metrics['confusion_matrix/result'] == counts.tolist()
    assert len([*Path('shown').glob('*/frames_0/*.png')]) == 2 * 8


def test_their_inferencer(trained):
    infer = MMAction2Inferencer(rec=str(CONFIGS / 'tiny_attentive-head.py'),
                                rec_weights=str(trained('attentive')), device='cpu')
    result = infer('data/narrated_shapes/videos/b.mp4', vid_out_dir='drawn', out_type='img')
    # It takes one crop of each clip.
    cfg = config_of('attentive').val_dataloader.dataset
    cfg.pipeline[1].num_clips = 2
    expected = plain_scores(build('attentive', trained('attentive')),
                            DATASETS.build(cfg)[1]['inputs'])
    [found] = result['predictions'][0]['rec_scores']
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len([*Path('drawn').rglob('*.png')]) > 8


@pytest.mark.skipif(digit_version(mmcv.__version__) >= digit_version('2.2.0'),
                    reason='a program of MMAction2 that imports nothing of ours refuses this mmcv')
def test_flops_by_their_program():
    """Alone: the config brings the package in. Products of linear layers and of attention."""
    told = run_alone('analysis_tools/get_flops.py', CONFIGS / 'tiny_i3d-head.py', '--shape',
                     1, 3, 8, 64, 64)
    tokens, frames, patches, width = 129, 8, 16, 96
    linear = tokens * width * (2 * (3 + 1) + 2 * 4) * width  # two attentions and the MLP
    attention = 2 * width * sum((groups * size * (size + 1) + tokens) for groups, size in (
        (frames, patches), (patches, frames)))
    products = (frames * patches * 3 * 16**2 * width  # of the patches
                + 3 * (linear + attention) + tokens * width * 64)
    norms = 5 * tokens * width * (2 + 3 * 3)  # as mmengine counts them
    found = float(told.split('Flops: ')[1].split('M')[0]) * 1e6
    assert found == pytest.approx(products + norms, rel=0.01)


def test_features_by_their_program(trained):
    """The embedding itself, and the mean of a map."""
    for head in ('timesformer', 'i3d'):
        run_theirs('misc/clip_feature_extraction.py', CONFIGS / f'tiny_{head}-head.py',
                   trained(head), f'features_{head}')
        found = pickle.loads(Path(f'features_{head}', 'c.mp4.pkl').read_bytes())
        model = build(head, trained(head))
        sample = DATASETS.build(config_of(head).test_dataloader.dataset)[2]
        with torch.no_grad():
            clips = model.data_preprocessor(pseudo_collate([sample]))['inputs'][0]
            features = model.backbone(clips)
        if head == 'i3d':
            features = features.mean(dim=(2, 3, 4))
        np.testing.assert_allclose(np.asarray(found).squeeze(), features.mean(dim=0), atol=1e-5)


def test_equals_our_own_linear_probe():
    """The same frames and weights: pixels, encoder, head and probabilities."""
    tiny = build_tiny_model()
    probe = VideoTextModel(
        backbone=dict(config_of('timesformer').model.backbone, output=None),
        cls_head=dict(type='tvtsv2_mm.LinearProbeHead', num_classes=6, embed_dim=64),
        data_preprocessor=dict(type='tvtsv2_mm.VideoTextDataPreprocessor')).eval()
    assert isinstance(probe.cls_head, LinearProbeHead)
    probe.backbone.load_state_dict(tiny.backbone.state_dict())
    recognizer = build('timesformer')
    recognizer.backbone.load_state_dict(tiny.backbone.state_dict())
    torch.nn.init.normal_(probe.cls_head.fc.weight, std=0.2)
    recognizer.cls_head.fc_cls.load_state_dict(probe.cls_head.fc.state_dict())
    batch = pseudo_collate([*DATASETS.build(config_of('timesformer').val_dataloader.dataset)])
    clips = [own[0] for own in batch['inputs']]
    expected = probe.test_step(dict(
        inputs=dict(video=[clip.transpose(0, 1) for clip in clips]),
        data_samples=[sample.clone() for sample in batch['data_samples']]))
    found = recognizer.test_step(batch)
    scores = torch.stack([sample.pred_score for sample in found])
    assert (scores.amax(dim=0) - scores.amin(dim=0)).max() > 1e-3  # the videos differ
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own.pred_score, other.pred_score, rtol=0, atol=1e-5)


@pytest.mark.parametrize('head', HEADS)
def test_from_a_recognizer_to_our_tools_and_back(trained, head, caplog):
    """Its checkpoint alone gives features; another recognizer takes its encoder."""
    weights = trained(head)
    MMLogger.get_current_instance().addHandler(caplog.handler)
    infer = TVTSv2Inferencer(weights=str(weights), device='cpu', show_progress=False)
    own = torch.load(weights, weights_only=False)['state_dict']
    for key, value in infer.model.backbone.state_dict().items():
        assert value.equal(own[f'backbone.{key}'])
    assert infer.model.data_preprocessor.mean.flatten().tolist() == pytest.approx(
        [123.675, 116.28, 103.53])
    # It tells what no tensor tells.
    assert 'backbone.' not in ''.join(infer.model.load_report['assumed'])
    assert infer('data/narrated_shapes/videos/a.mp4')['predictions'][0]['features'].shape == (64, )
    other = build('i3d' if head == 'timesformer' else 'timesformer', **{
        'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=str(weights))})
    other.init_weights()
    assert other.backbone.load_report['taken'] == len(infer.model.backbone.state_dict())
    assert other.backbone.proj.equal(own['backbone.proj'])
    MMLogger.get_current_instance().removeHandler(caplog.handler)
    assert caplog.text.count('63 of 63 tensors taken; not needed by this model: cls_head') == 2
    with pytest.raises(CheckpointError, match=r'backbone\.heads: 3 by the checkpoint, 2 by the'):
        build(head, **{'model.backbone.heads': 2, 'model.backbone.init_cfg': dict(
            type='Pretrained', checkpoint=str(weights))}).init_weights()


def test_what_a_recognizers_checkpoint_lacks(trained):
    weights = str(trained('timesformer'))
    tiny = ROOT / 'configs' / 'tvtsv2'
    with pytest.raises(CheckpointError, match=(
            r'epoch_1\.pth.*\nmissing in the checkpoint:\n  neck\.\*, the whole part: leave it out '
            r'\(model\.neck=None\).*model\.neck\.init_cfg=.*$')):
        TVTSv2Inferencer(str(tiny / 'tiny_retrieval.py'), weights, device='cpu')
    with pytest.raises(ValueError, match='is of a Recognizer3D of MMAction2: leave it out'):
        TVTSv2Inferencer(str(CONFIGS / 'tiny_i3d-head.py'), weights, device='cpu')
    # Its head is another than that of our linear probe, which is new then.
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(Config.fromfile(tiny / 'tiny_linear-probe.py').model)
    model.load_state_dict(torch.load(weights, weights_only=False)['state_dict'])
    assert model.untrained_heads == {'cls_head'}


def test_errors_are_in_the_words_of_their_pipelines():
    model = build('timesformer')
    for shape, message in (
            ((2, 1, 3, 8, 32, 64), r'frames are 32 x 64 \(H x W\): set the crop size'),
            ((2, 1, 3, 9, 64, 64), r'clip of 9 frames.*=8: lower clip_len of the pipeline'),
            ((2, 1, 1, 8, 64, 64), r'\(B, 3, T, H, W\) in RGB, got \(2, 1, 8, 64, 64\)'),
            ((2, 8, 3, 64, 64), r"got \(16, 3, 64, 64\).*FormatShape with input_format='NCTHW'")):
        with pytest.raises(ValueError, match=message):
            model(torch.zeros(shape))


def test_weights_of_the_whole_must_be_of_a_recognizer(folder):
    """In a config of one's own; mmengine would warn and train from random weights."""
    torch.save(dict(state_dict={'video_model.class_embedding': torch.ones(8)}), 'release.pth')
    cfg = config_of('timesformer')
    del cfg.default_hooks.weights  # which knows every layout
    cfg.update(load_from='release.pth', work_dir='refused')
    with pytest.raises(CheckpointError, match=(
            r'has nothing of backbone\.\* by the names of .* give it as backbone\.init_cfg=dict')):
        Runner.from_cfg(cfg).train()
    state = build('timesformer').state_dict()
    torch.save(dict(state_dict=state), 'other.pth')
    cfg.merge_from_dict({'model.backbone.num_frames': 4, 'load_from': 'other.pth'})
    with pytest.raises(CheckpointError, match=(
            r'backbone\.temporal_embedding: \(8, 96\) in the checkpoint, \(4, 96\) by the config')):
        Runner.from_cfg(cfg).train()


def test_position_tables_are_resized_on_request(trained):
    init_cfg = dict(type='Pretrained', checkpoint=str(trained('i3d')))
    changes = {'model.backbone.num_frames': 4, 'model.backbone.image_size': 96}
    with pytest.raises(CheckpointError, match=r"interpolate_positions=True of .* init_cfg"):
        build('i3d', **changes, **{'model.backbone.init_cfg': init_cfg}).init_weights()
    init_cfg['interpolate_positions'] = True
    model = build('i3d', **changes, **{'model.backbone.init_cfg': init_cfg})
    model.init_weights()
    assert len(model.backbone.load_report['resized']) == 2


@pytest.mark.parametrize('head', HEADS)
def test_full_size(head):
    """Shapes alone; MMAction2's own base files are below. Kinetics has names with blanks."""
    Path('kinetics.txt').write_text('riding a bike/x.mp4 12\n')
    cfg = Config.fromfile(CONFIGS / f'vit-b16_{head}-head_kinetics400.py')
    assert cfg.default_scope == 'mmaction' and cfg.default_hooks.checkpoint.save_best == 'auto'
    with torch.device('meta'):
        model = MODELS.build(cfg.model).eval()
        assert model(torch.empty(1, 1, 3, 8, 224, 224), stage='head').shape == (1, 400)
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained and all(name.startswith('cls_head.') for name in trained)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.update(lazy_init=True, ann_file='kinetics.txt')
        [video] = DATASETS.build(loader.dataset).load_data_list()
        assert video['filename'] == 'data/kinetics400/videos/riding a bike/x.mp4'
