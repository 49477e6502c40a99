"""Fine-tuning in MMAction2's Recognizer3D, by its own transforms and our tools."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn

from tests.test_tools.protocol_data import (
    CONFIGS,
    make_recognition,
    save_checkpoint,
    small_options,
)
from tests.tiny_model import save_tiny_checkpoint
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.registry import MODELS

# Where each benchmark is, and its lists.
BENCHMARKS = {
    'hmdb51': ('hmdb51', 'annotations/train_split1.txt', 'annotations/test_split1.txt'),
    'kinetics400': ('kinetics400', 'annotations/train.txt', 'annotations/val.txt'),
    'ssv2': ('sthv2', 'sthv2_train_list_videos.txt', 'sthv2_val_list_videos.txt')}
SHORT = ['model.cls_head.in_channels=32', 'train_cfg.max_epochs=1', 'param_scheduler.0.end=1',
         'param_scheduler.1.begin=0', 'param_scheduler.1.end=1', 'default_hooks.logger.interval=1',
         'test_dataloader.dataset.pipeline.1.num_clips=1']


def prepare(tmp_path, benchmark):
    folder, *lists = BENCHMARKS[benchmark]
    root = tmp_path / 'data' / folder
    make_recognition(root, 'train.txt', 'test.txt')
    text = (root / 'annotations' / 'train.txt').read_text()
    # A name with blanks, as folders of Kinetics have them.
    (root / 'videos' / 'waving').rename(root / 'videos' / 'waving a hand')
    for name in lists:
        (root / name).write_text(text.replace('waving/', 'waving a hand/'))
    save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'model.pth')


@pytest.mark.parametrize(('benchmark', 'words', 'options'), [
    ('hmdb51', ['--amp', '--auto-scale-lr'], []),
    pytest.param('kinetics400', [], ["compile=dict(backend='eager')"], marks=pytest.mark.slow),
    ('kinetics400', [], []),
    ('ssv2', [], []),
])
def test_from_a_pretrained_model(run, tmp_path, benchmark, words, options):
    """Its video encoder is taken; the head is new; what is tested is the running average."""
    prepare(tmp_path, benchmark)
    name = f'vit-b16_finetune_{benchmark}.py'
    options = ['--cfg-options', *small_options(name), *SHORT, *options]
    runner = run('train', CONFIGS / name, '--work-dir', 'out', *words, *options,
                 'load_from=model.pth')
    model = runner.model
    assert (type(model).__name__, type(model.backbone).__name__) == ('Recognizer3D', 'SpaceTimeViT')
    new = set(model.load_report['new'])
    assert new == {'cls_head.fc_cls.weight', 'cls_head.fc_cls.bias'}
    if words:
        assert type(runner.optim_wrapper).__name__ == 'BFloat16OptimWrapper'
        rates = [group['initial_lr'] for group in runner.optim_wrapper.optimizer.param_groups]
        assert max(rates) == pytest.approx(6e-4 * 2 / 2048)  # of 2 clips, not of 2048
    compiled = ['forward' in vars(block) for block in model.backbone.resblocks]
    assert all(compiled) if 'compile' in ''.join(options) else not any(compiled)
    steps = [step['type'] for step in runner.cfg.train_dataloader.dataset.pipeline]
    assert ('Flip' in steps) is (benchmark != 'ssv2')

    saved = torch.load(tmp_path / 'out' / 'epoch_1.pth', weights_only=False)
    [average] = [hook.ema_model for hook in runner.hooks if type(hook).__name__ == 'EMAHook']
    for key, value in average.module.state_dict().items():
        assert torch.equal(saved['state_dict'][key], value)
    tested = run('test', CONFIGS / name, 'out/epoch_1.pth', '--work-dir', 'tested', *options)
    assert tested.model.load_report['new'] == tested.model.load_report['assumed'] == []
    [path] = (tmp_path / 'tested').glob('*/result.json')
    result = json.loads(path.read_text())
    assert result['protocol'] == 'finetune' and not result['trained_further']
    assert [result['views'][name] for name in ('frames', 'clips', 'crops')] == [12, 1, 3]
    assert result['views']['frames_shown'] == 'natural'
    if benchmark == 'ssv2':  # one frame of each clip passes CheckClipsHook, and the model
        shown = run('test', CONFIGS / name, 'out/epoch_1.pth', '--work-dir', 'shown', '--frames',
                    'single', *options)
        batch = next(iter(shown.test_dataloader))
        assert batch['inputs'][0].shape == (3, 3, 1, 224, 224)
        [path] = (tmp_path / 'shown').glob('*/result.json')
        assert json.loads(path.read_text())['views']['frames_shown'] == 'single'
    scores = []
    for batch in tested.test_dataloader:
        views = torch.stack(batch['inputs']).flatten(0, 1)
        pixels = tested.model.data_preprocessor
        clips = (views - pixels.mean) / pixels.std
        with torch.no_grad():
            logits = nn.functional.linear(
                tested.model.backbone(clips), *tested.model.cls_head.fc_cls.parameters())
        scores += logits.softmax(dim=-1).unflatten(0, (-1, 3)).mean(dim=1)
    right = [own.argmax() == label for own, label in zip(scores, [0, 1, 2, 0, 1], strict=True)]
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(100 * float(np.mean(right)))


def test_what_it_costs_zero_shot_is_told_by_a_resumed_run_too(run, tmp_path):
    """By the text encoder of the start, which is gone then; the rest is the uninterrupted run."""
    prepare(tmp_path, 'kinetics400')
    make_recognition(tmp_path / 'data' / 'hmdb51', 'train_split1.txt', 'test_split1.txt')
    name, hook = 'vit-b16_finetune_kinetics400.py', 'default_hooks.zero_shot_check'
    sizes = [f'{hook}.{option}' for option in small_options('vit-b16_retrieval_msrvtt.py')
             if option.startswith('model.')]
    small = [option for option in small_options(name) if not option.startswith('val_dataloader.')]
    words = ['--no-validate', '--cfg-options', *small, *SHORT, *sizes,
             f'{hook}.dataloader.num_workers=0']
    start, more = 'load_from=model.pth', 'train_cfg.max_epochs=2'
    run('train', CONFIGS / name, '--seed', '0', '--work-dir', 'whole', *words, start, more)
    # The same command for every part: there is nothing to go on from yet.
    run('train', CONFIGS / name, '--seed', '0', '--work-dir', 'parts', '--resume', *words, start)
    (tmp_path / 'model.pth').rename(tmp_path / 'start.pth')
    run('train', CONFIGS / name, '--work-dir', 'parts', '--resume', *words, more)
    whole, other = (torch.load(f'{folder}/epoch_2.pth', weights_only=False)
                    for folder in ('whole', 'parts'))
    for key, value in (whole['state_dict'] | whole['ema_state_dict']).items():
        assert torch.equal((other['state_dict'] | other['ema_state_dict'])[key], value), key
    whole, other = (json.loads(max((tmp_path / folder).glob('*/result.json')).read_text())[
        'zero_shot_check'] for folder in ('whole', 'parts'))
    assert other == whole | dict(weights=other['weights'])
    assert whole['benchmark'] == 'HMDB51' and whole['weights'].endswith('epoch_2.pth')
    run('test', CONFIGS / 'vit-b16_zero-shot_hmdb51.py', 'start.pth', '--work-dir', 'zero',
        '--cfg-options', *small_options('vit-b16_zero-shot_hmdb51.py'))
    [path] = (tmp_path / 'zero').glob('*/result.json')
    before = json.loads(path.read_text())['metrics']['raw']
    assert whole['before']['acc/top1'] == pytest.approx(before['acc/top1'])


def test_what_does_not_fit_is_told(run, tmp_path):
    prepare(tmp_path, 'hmdb51')
    name = 'vit-b16_finetune_hmdb51.py'
    options = ['--cfg-options', *small_options(name), *SHORT]
    with pytest.raises(SystemExit) as stop:
        run('train', CONFIGS / name, *options, 'load_from=nowhere.pth')
    assert stop.value.code == 2
    with pytest.raises(SystemExit, match=r'^error: the checkpoint has no cls_head that is trained'):
        run('test', CONFIGS / name, 'model.pth', *options)
    with pytest.raises(SystemExit, match=r'^error: model\.pth: .*\nsizes differ'):
        run('train', CONFIGS / name, *options, 'load_from=model.pth',
            'model.backbone.num_frames=14')
    lists = tmp_path / 'data' / 'hmdb51' / 'annotations' / 'test_split1.txt'
    with lists.open('a') as file:
        file.write('nowhere.mp4 51\n')
    with pytest.raises(SystemExit, match=r'^error: .*label 51 does not fit 51 classes'):
        run('train', CONFIGS / name, *options, 'load_from=model.pth')


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes')
    build_narrated_shapes(root, NarratedShapesOptions(
        transcript_videos=(0, 0), clip_rounds=(1, 1), order_clips=(0, 0)))
    annotations = root / 'annotations'
    for name in ('motions_train.txt', 'motions_test.txt'):  # each motion twice
        lines = (annotations / name).read_text().splitlines()
        (annotations / name).write_text('\n'.join(lines[:12]))
    return root


def test_the_tiny_one_learns_stops_and_goes_on(run, tmp_path, shapes):
    """12 videos by heart, in 30 steps from random weights."""
    options = ['--cfg-options', f'data_root={shapes}', 'model.backbone.time_init=proj',
               'model.backbone.drop_path_rate=0.1', 'model.backbone.checkpointing=True',
               'optim_wrapper.optimizer.lr=3e-3', 'param_scheduler.1.end=30',
               'train_cfg.val_interval=30', 'default_hooks.logger.interval=1', 'randomness.seed=0',
               f'val_dataloader.dataset.ann_file={shapes}/annotations/motions_train.txt']
    name = CONFIGS / 'tiny_finetune.py'
    run('train', name, '--work-dir', 'out', *options, 'train_cfg.max_epochs=15',
        'default_hooks.checkpoint.interval=15')
    runner = run('train', name, '--work-dir', 'out', '--resume', *options,
                 'train_cfg.max_epochs=30', 'default_hooks.checkpoint.interval=30')
    assert runner.iter == 30
    losses = runner.message_hub.get_scalar('train/loss')._log_history
    assert len(losses) == 30  # the log goes on too
    assert losses[-1] < 0.5 * losses[0]
    assert runner.message_hub.get_scalar('val/acc/top1').current() > 0.5
    tested = run('test', name, 'out/epoch_30.pth', *options)
    assert tested.model.load_report['new'] == []


def test_weights_in_between_by_both_figures(run, tmp_path, shapes):
    """Zero-shot by the start's text encoder, equal to the check of the run; classes by its head."""
    save_tiny_checkpoint(tmp_path / 'tiny.pth')
    name, zero = CONFIGS / 'tiny_finetune.py', CONFIGS / 'tiny_zero-shot.py'
    data = f'data_root={shapes}'
    run('train', name, '--work-dir', 'out', '--cfg-options', data, 'load_from=tiny.pth',
        'train_cfg.max_epochs=1')
    [path] = (tmp_path / 'out').glob('*/result.json')
    check = json.loads(path.read_text())['zero_shot_check']
    run('interpolate_weights', name, zero, '--before', 'tiny.pth', '--after', 'out/epoch_1.pth',
        '--alphas', '0', '1', '--work-dir', 'wise', '--cfg-options', data)
    told = json.loads((tmp_path / 'wise' / 'interpolation.json').read_text())
    assert told['whole'] == {name.stem: dict(cls_head='after'), zero.stem: dict(neck='before')}
    assert [found['acc/top1'] for found in told['figures'][zero.stem]] == pytest.approx(
        [check[side]['acc/top1'] for side in ('before', 'after')])
    assert all('acc/top1' in found for found in told['figures'][name.stem])


@pytest.mark.parametrize('benchmark', BENCHMARKS)
def test_builds_at_full_size(benchmark):
    """Shapes alone, without memory for weights; all of it is trained, the first blocks slowly."""
    cfg = Config.fromfile(CONFIGS / f'vit-b16_finetune_{benchmark}.py')
    cfg.model.data_preprocessor.pop('blending')  # which wants numbers
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(cfg.model)
        clips = torch.empty(2, 1, 3, 12, 224, 224)
        assert model.cls_head(model.extract_feat(clips)[0]).shape == (2, cfg.num_classes)
        wrapper = Runner.build_optim_wrapper(_Bare(model), cfg.optim_wrapper)
    rates = {group['lr'] for group in wrapper.optimizer.param_groups}
    assert max(rates) / min(rates) == pytest.approx(0.6**-13)
    assert sum(len(group['params']) for group in wrapper.optimizer.param_groups) == len(
        [*model.parameters()])


class _Bare:
    def __init__(self, model):
        self.model = model
