"""One extraction, three probes, and their result files side by side."""

import json
import runpy
import sys

import numpy as np
import torch

from tests.test_tools.protocol_data import (
    CONFIGS,
    ROOT,
    make_recognition,
    save_checkpoint,
    small_options,
)
from tests.test_tools.test_protocols import IMAGENET, plain_clips
from tvtsv2_mm.apis.probes import read_cache


def call(monkeypatch, tool, *words):
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, words)])
    runpy.run_path(str(ROOT / 'tools' / f'{tool}.py'), run_name='__main__')


def test_probes_of_one_cache(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'data' / 'hmdb51'
    paths, labels = make_recognition(root, 'train_split1.txt', 'test_split1.txt')
    model = save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'model.pth')
    name = 'vit-b16_linear-probe_hmdb51.py'
    call(monkeypatch, 'probe_features', 'extract', CONFIGS / name, 'model.pth', '--out',
         'cache/features.npz', '--token-grid', 2, '--cfg-options', *small_options(name))
    cache = read_cache(tmp_path / 'cache' / 'features.npz')
    assert cache.labels['train'].tolist() == cache.labels['test'].tolist() == labels
    for i, path in enumerate(paths):
        with torch.no_grad():
            embeds, tokens = model.backbone(plain_clips(root / 'videos' / path, IMAGENET))
        cells = tokens[0, 1:].view(12, 2, 7, 2, 7, -1).mean(dim=(2, 4)).flatten(0, 2)
        np.testing.assert_allclose(cache.embeds['test'][i], embeds[0].numpy(), atol=2e-2)
        np.testing.assert_allclose(cache.tokens['train'][i], cells.numpy(), atol=2e-2)

    call(monkeypatch, 'probe_features', 'fit', 'cache/features.npz')
    files = [tmp_path / 'cache' / f'features_{kind}.json' for kind in
             ('logistic', 'knn', 'attentive')]
    results = [json.loads(file.read_text()) for file in files]
    for key in ('protocol', 'benchmark', 'views', 'split', 'checkpoint', 'config', 'versions'):
        assert results[0][key] == results[1][key] == results[2][key]
    assert results[0]['split']['used'] == 5
    assert results[2]['token_grid'] == 2
    assert results[1]['metrics']['raw']['acc/top1'] == 100  # each test video is its own neighbour

    call(monkeypatch, 'compare_results', *(f'{file.stem}={file}' for file in files))
    printed = capsys.readouterr().out
    assert 'features_knn' in printed and 'paper: TVTSv2 B/16' in printed and '64.7' in printed
