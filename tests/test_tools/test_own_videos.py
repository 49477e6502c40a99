"""The ten lines of tools/data/README.md: own videos, a csv, and a config that inherits ours."""

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

from tvtsv2_mm.registry import MODELS
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
        command = re.search(r'python tools/data/(csv_to_annotations)\.py (.*)', SECTION)
        monkeypatch.setattr(sys, 'argv', [command[1], *command[2].split()])
        runpy.run_path(str(ROOT / 'tools' / 'data' / f'{command[1]}.py'), run_name='__main__')

    return call


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
