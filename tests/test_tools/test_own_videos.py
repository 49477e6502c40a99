"""The ten lines of tools/data/README.md: own videos with subtitles, or a csv and a config."""

import argparse
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from tests.test_tools.protocol_data import CONFIGS
from tests.tiny_model import save_tiny_checkpoint
from tvtsv2_mm.apis.launch.runs import apply_launch_arguments, load_config
from tvtsv2_mm.datasets.annotations import load_transcripts
from tvtsv2_mm.datasets.held_out import held_out_below, place_of
from tvtsv2_mm.registry import MODELS, TRANSFORMS
from tvtsv2_mm.utils.tokenizer import ClipTokenizer

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT / 'tests' / 'data' / 'videos'
SECTION = re.search(r'## Your own videos in ten lines\n(.*?)(\n## |\Z)',
                    (ROOT / 'tools' / 'data' / 'README.md').read_text(encoding='utf-8'), re.S)[1]
SMALL = [f'model.{part}.{key}={value}' for part, sizes in {
    'backbone': dict(width=64, layers=2, heads=2, embed_dim=32),
    'neck': dict(width=64, layers=2, heads=2, embed_dim=32, frozen_layers=1),
}.items() for key, value in sizes.items()]
OPTIONS = [*SMALL, 'test_dataloader.num_workers=0', 'test_dataloader.batch_size=2']


@pytest.fixture
def convert(monkeypatch, tmp_path):
    """Put own videos and a csv into an empty folder, and call the README's command there."""
    monkeypatch.chdir(tmp_path)

    def call(text):
        (tmp_path / 'my_videos' / 'indoors').mkdir(parents=True)
        for name in ('part_0.mp4', 'example.mp4', 'grid_swwp2s.mpg'):
            shutil.copy(CLIPS / name, tmp_path / 'my_videos' / 'indoors')
        Path('my.csv').write_text(text)
        run_command('csv_to_annotations', monkeypatch)

    return call


def run_command(name, monkeypatch):
    """Call a command of the README that converts."""
    command = re.search(rf'python tools/data/({name})\.py (.*)', SECTION)
    monkeypatch.setattr(sys, 'argv', [command[1], *command[2].split()])
    runpy.run_path(str(ROOT / 'tools' / 'data' / f'{name}.py'), run_name='__main__')


def save_config(name):
    """Write a config of the README; the package need not be installed for its base."""
    [text] = [block for block in re.findall(r'```python\n(.*?)```', SECTION, re.S)
              if name in block]
    assert len(text.splitlines()) <= 10
    path = Path('my_config.py')
    path.write_text(text.replace('tvtsv2_mm::', f'{ROOT / "configs"}/'))
    return path


def save_weights(config):
    """Random weights of the model of a config at test size."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict({key: int(value)
                         for key, value in (option.split('=') for option in SMALL)})
    torch.manual_seed(0)
    with MODELS.switch_scope_and_registry('tvtsv2_mm'):
        model = MODELS.build(cfg.model)
    for parameter in model.parameters():  # so that time attention does something too
        parameter.data.normal_(std=0.05)
    torch.save(dict(state_dict=model.state_dict()), 'weights.pth')
    return 'weights.pth'


def embed(runner):
    """Videos and captions of the test set, one by one, without the model's own predict."""
    model, dataset = runner.model.eval(), runner.test_dataloader.dataset
    videos, texts = [], []
    with torch.no_grad():
        for index in range(len(dataset)):
            inputs = model.data_preprocessor(pseudo_collate([dataset[index]]))['inputs']
            videos.append(model.backbone(inputs['video'])[0][0])
            texts += model.neck(inputs['tokens'][0]) if 'tokens' in inputs else ()
    return F.normalize(torch.stack(videos), dim=-1), texts


def metrics():
    [path] = Path('out').glob('*/result.json')
    return json.loads(path.read_text())['metrics']['raw']


def test_zero_shot_recognition(convert, run):
    convert('path,label\nindoors/part_0.mp4,walking\nindoors/example.mp4,drawing\n'
            'indoors/grid_swwp2s.mpg,speaking\n')
    config = save_config('zero-shot')
    runner = run('test', config, save_weights(config), '--work-dir', 'out', '--cfg-options',
                 *OPTIONS)

    videos, _ = embed(runner)
    names = ['drawing', 'speaking', 'walking']
    assert runner.model.cls_head.classes == names
    tokens = ClipTokenizer()([f'a video of a person {name}' for name in names])
    with torch.no_grad():
        classes = F.normalize(runner.model.neck(tokens), dim=-1)
    right = (videos @ classes.T).argmax(dim=1) == torch.tensor([2, 0, 1])
    assert metrics()['acc/top1'] == pytest.approx(100 * right.float().mean().item())
    assert set(metrics()) == {'acc/top1', 'acc/mean_class_top1'}  # top 5 of 3 cannot fail


def test_retrieval(convert, run):
    convert('path,caption\nindoors/part_0.mp4,people in a room\nindoors/example.mp4,a drawing\n'
            'indoors/example.mp4,colours\nindoors/grid_swwp2s.mpg,a man speaks\n')
    config = save_config('retrieval')
    runner = run('test', config, save_weights(config), '--work-dir', 'out', '--cfg-options',
                 *OPTIONS)

    videos, texts = embed(runner)
    similarity = F.normalize(torch.stack(texts), dim=-1) @ videos.T
    owner = torch.tensor([0, 1, 1, 2])
    ranks = (similarity > similarity.gather(1, owner[:, None])).sum(dim=1)
    assert metrics()['t2v/R1'] == pytest.approx(100 * (ranks == 0).float().mean().item())
    assert metrics()['t2v/MnR'] == pytest.approx(1 + ranks.float().mean().item())


OWN = 'tiny_pretrain_own-data.py'
FAST = ['train_cfg.max_epochs=1', *(f'{loader}_dataloader.{key}'
                                    for loader in ('train', 'val', 'test')
                                    for key in ('num_workers=0', 'persistent_workers=False'))]


def paths_of(file):
    return [record['path'] for record in load_transcripts(file)]


def names_of(dataset):
    return {dataset.get_data_info(k)['sample_id'] for k in range(len(dataset))}


def test_pretraining_on_subtitles(narrated, run, monkeypatch, tmp_path, capsys):
    """The README's two commands, and nothing else but options that make it fast."""
    shutil.copytree(narrated, tmp_path / 'my_videos')
    monkeypatch.chdir(tmp_path)
    run_command('subtitles_to_transcripts', monkeypatch)
    options = re.search(r'pretrain_own-data\.py --cfg-options (data_root=\S+)', SECTION)[1]
    runner = run('train', CONFIGS / OWN, '--work-dir', 'out', '--cfg-options', options, *FAST)

    paths = paths_of('my_videos/transcripts.jsonl')
    below = held_out_below(paths, 0.1)
    held_out = {path for path in paths if place_of(path) < below}
    val = runner.val_dataloader.dataset
    train = runner.train_dataloader.dataset.datasets
    names = [names_of(dataset) for dataset in (*train, val)]
    too_short = {'kitchen/talk 8.mp4'}
    assert names == [set(paths) - held_out - too_short, held_out - too_short]
    assert runner.iter == 1  # one batch of all, though there are less than twelve
    scalars = runner.message_hub.log_scalars
    assert {'val/sorting/per_transcript', 'val/t2v/R1', 'train/loss_sorting'} <= set(scalars)
    [log] = Path('out').glob('*/*.log')
    told = log.read_text()
    assert 'its transcript has N words, fewer than' in told
    assert 'held-out videos' in told and f'batches are of {len(names[0])} clips' in told
    batch = next(iter(runner.train_dataloader))['inputs']['video']
    # The tiny model's frames and patches, half of which are dropped.
    assert batch[0].shape == (8, 8, 3, 16, 16)

    tested = run('test', CONFIGS / OWN, 'out/epoch_1.pth', '--work-dir', 'tested',
                 '--cfg-options', options, *FAST)
    assert len(tested.test_dataloader.dataset) == len(names[1])


def test_captions_beside_the_transcripts_are_trained_on_too(narrated, run, monkeypatch, tmp_path):
    """By a config that inherits; the same videos are held out of the captions."""
    shutil.copytree(narrated, tmp_path / 'my_videos')
    monkeypatch.chdir(tmp_path)
    run_command('subtitles_to_transcripts', monkeypatch)
    paths = paths_of('my_videos/transcripts.jsonl')
    Path('my_videos/captions.jsonl').write_text('\n'.join(
        json.dumps(dict(path=path, captions=[path])) for path in paths))
    Path('mine.py').write_text(
        f"_base_ = '{CONFIGS / OWN}'\ndata_root = 'my_videos'\nheld_out_share = 0.3\n")
    runner = run('train', 'mine.py', '--work-dir', 'out', '--cfg-options', *FAST)
    transcripts, captions = runner.train_dataloader.dataset.datasets
    below = held_out_below(paths, 0.3)
    assert names_of(captions) == {path for path in paths if place_of(path) >= below}
    assert len(transcripts) <= len(captions) < 8
    assert runner.iter == 2  # a batch of each


def test_labelled_videos_tell_what_is_forgotten(narrated, run, monkeypatch, tmp_path):
    """By the config of docs/finetuning.md; without it the texts alone are watched."""
    shutil.copytree(narrated, tmp_path / 'my_videos')
    monkeypatch.chdir(tmp_path)
    run_command('subtitles_to_transcripts', monkeypatch)
    paths = paths_of('my_videos/transcripts.jsonl')
    Path('my.csv').write_text('\n'.join(
        ['path,label', *(f'{path},{path.split("/")[0]}' for path in paths)]))
    run_command('csv_to_annotations', monkeypatch)
    text = (ROOT / 'docs' / 'finetuning.md').read_text(encoding='utf-8')
    [config] = [block for block in re.findall(r'```python\n(.*?)```', text, re.S)
                if 'my_annotations' in block]
    Path('mine.py').write_text(
        re.sub(r"'tvtsv2_mm::.*?'", repr(str(CONFIGS / OWN)), config) + "data_root = 'my_videos'\n")
    save_tiny_checkpoint(Path('weights.pth'))
    told = []
    for config in ('mine.py', CONFIGS / OWN):
        runner = run('train', config, '--work-dir', 'out', '--cfg-options', *FAST,
                     'data_root=my_videos', 'load_from=weights.pth',
                     'default_hooks.out_of_the_box.dataloader.num_workers=0')
        assert runner.iter == 1
        log = max(Path('out').glob('*/*.log')).read_text()
        told.append(re.findall(r'out of the box, iteration (\d): text drift (\S+)(.*)', log))
    assert [(step, bool(zero_shot)) for step, _, zero_shot in told[0]] == [('0', True), ('1', True)]
    assert [*Path('out').glob('best_out_of_the_box_zero_shot_epoch_1.pth')]
    assert [(step, zero_shot) for step, _, zero_shot in told[1]] == [('0', ''), ('1', '')]


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*own-data.py')), ids=lambda path: path.stem)
def test_own_data_configs_take_all_sizes_from_the_model(path):
    assert len([line for line in path.read_text().splitlines() if line[0] != '#']) <= 9
    cfg = load_config(str(path))
    apply_launch_arguments(cfg, argparse.Namespace(
        launcher='none', work_dir=None, config=str(path),
        cfg_options={'model.backbone.image_size': 448, 'model.backbone.num_frames': 5,
                     'load_from': None}))
    backbone = cfg.model.backbone
    loader = cfg.get('train_dataloader') or cfg.test_dataloader
    dataset = loader.dataset.get('datasets', [loader.dataset])[0]
    with TRANSFORMS.switch_scope_and_registry('tvtsv2_mm'):
        steps = {step['type']: TRANSFORMS.build(step) for step in dataset.pipeline}
    assert steps['OpenVideo'].scaling.short_side == 537
    assert (steps['CropClip'].size, steps['SampleClipFrames'].num_frames) == (448, 5)
    if 'TokenizeText' in steps:
        assert steps['TokenizeText'].context_length == cfg.model.neck.get(
            'context_length', 77)
    if 'RandomTubeMask' in steps:
        assert steps['RandomTubeMask'].patch_size == backbone.patch_size
        ratios = {(32, 768): 0.0, (16, 768): 0.5, (14, 1024): 0.7, (14, 1280): 0.7, (16, 96): 0.5}
        assert steps['RandomTubeMask'].ratio == ratios[backbone.patch_size, backbone.width]
