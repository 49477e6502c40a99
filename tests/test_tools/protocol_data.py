"""Small data sets in the layout of the benchmarks, and a small model for their configs."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import mmaction
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.grey_videos import write_grey_video
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'tvtsv2'
CLIPS = ROOT / 'tests' / 'data' / 'videos'
# MMAction2's programs, as its wheel has them.
PROGRAMS = Path(mmaction.__file__).parent / '.mim' / 'tools'
CLASSES = ['waving', 'drawing a picture', 'speaking']
SENTENCES = ['people in a room', 'a drawing full of colours', 'a man speaks', 'grey gets brighter',
             'somebody waves']
SMALL = {f'model.{part}.{key}': value for part, sizes in {
    'backbone': dict(width=64, layers=2, heads=2, embed_dim=32),
    'neck': dict(width=64, layers=2, heads=2, embed_dim=32, frozen_layers=1),
}.items() for key, value in sizes.items()}


def make_videos(folder: Path) -> list[str]:
    """Five videos, some of them in folders of classes."""
    paths = ['waving/part_0.mp4', 'drawing/example.mp4', 'speaking/grid_swwp2s.mpg',
             'waving/grey.mp4', 'short.mp4']
    for path in paths[:3]:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLIPS / target.name, target)
    write_grey_video(folder / paths[3])
    write_grey_video(folder / paths[4], num_frames=5)  # fewer than the 12 asked for
    return paths


def make_recognition(root: Path, train: str, test: str) -> tuple[list[str], list[int]]:
    """Videos, split files and class names; return paths and labels."""
    paths, labels = make_videos(root / 'videos'), [0, 1, 2, 0, 1]
    (root / 'annotations').mkdir()
    text = ''.join(f'{path} {label}\n' for path, label in zip(paths, labels, strict=True))
    for name in (train, test):
        (root / 'annotations' / name).write_text(text)
    (root / 'classes.txt').write_text('\n'.join(CLASSES))
    return paths, labels


def make_motions(root: Path) -> tuple[list[str], list[np.ndarray]]:
    """Six videos of 64 x 64 and their lists, as narrated shapes have them; return paths, and frames
    of the last."""
    (root / 'videos').mkdir(parents=True)
    (root / 'annotations').mkdir()
    rng = np.random.default_rng(0)
    paths = [f'{name}.mp4' for name in 'abcdef']
    for path in paths:
        pictures = [np.kron(rng.integers(256, size=(4, 4, 3)), np.ones((16, 16, 1))).astype(
            np.uint8) for _ in range(20)]
        write_grey_video(root / 'videos' / path, pictures=pictures, num_frames=20)
    for split in ('train', 'test'):
        (root / 'annotations' / f'motions_{split}.txt').write_text(
            ''.join(f'{path} {label}\n' for label, path in enumerate(paths)))
    return paths, pictures


def make_small_shapes(root: Path, transcript_videos: tuple[int, int] = (0, 0)) -> None:
    """The embedded data, but 8 captions to train on, and 12 captions and motions to test on."""
    build_narrated_shapes(root, NarratedShapesOptions(
        transcript_videos=transcript_videos, clip_rounds=(0, 1), order_clips=(0, 0)))
    annotations = root / 'annotations'
    lines = (annotations / 'captions_test.jsonl').read_text().splitlines(keepends=True)
    (annotations / 'captions_train.jsonl').write_text(''.join(lines[-8:]))
    (annotations / 'captions_test.jsonl').write_text(''.join(lines[:12]))
    labels = (annotations / 'motions_test.txt').read_text().splitlines(keepends=True)
    (annotations / 'motions_test.txt').write_text(''.join(labels[:12]))


def run_theirs(program: str, *words) -> None:
    """Run a program of MMAction2 in this process."""
    argv, sys.argv = sys.argv, [program, *map(str, words)]
    try:
        runpy.run_path(str(PROGRAMS / program), run_name='__main__')
    finally:
        sys.argv = argv


def make_captions(root: Path, records: list[dict]) -> list[str]:
    """Videos and the caption file ``test.jsonl``; return paths."""
    paths = make_videos(root / 'videos')
    (root / 'annotations').mkdir()
    write_jsonl(root / 'annotations' / 'test.jsonl', [
        dict(path=path) | record for path, record in zip(paths, records, strict=True)])
    return paths


def write_jsonl(path: Path, records: list[dict]) -> None:
    """Write JSON lines."""
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))


def small_config(name: str, **options) -> Config:
    """A config with the small model, as the command line makes it."""
    cfg = Config.fromfile(CONFIGS / name)
    small = {key: value for key, value in SMALL.items()
             if cfg.model.get(key.split('.')[1]) is not None}
    cfg.merge_from_dict(small | options)
    return cfg


def small_options(name: str) -> list[str]:
    """The same for a command line, with loaders that suit a test."""
    cfg = Config.fromfile(CONFIGS / name)
    return [
        *(f'{key}={value}' for key, value in SMALL.items()
          if cfg.model.get(key.split('.')[1]) is not None),
        *(f'{loader}.{key}' for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader')
          if loader in cfg for key in ('num_workers=0', 'persistent_workers=False',
                                       'batch_size=2')),
    ]


def save_checkpoint(name: str, path: Path, classes: list[str] | None = None) -> torch.nn.Module:
    """A model with random weights that tell videos apart, saved and given back."""
    cfg = small_config(name, **({'model.cls_head.classes': classes} if classes else {}))
    init_default_scope('tvtsv2_mm')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
    torch.save(dict(state_dict=model.state_dict()), path)
    return model
