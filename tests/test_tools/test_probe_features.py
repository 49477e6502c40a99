"""One extraction, three probes, and their result files side by side."""

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_tools.protocol_data import (
    CLIPS,
    CONFIGS,
    ROOT,
    make_recognition,
    save_checkpoint,
    small_options,
)
from tests.test_tools.test_protocols import IMAGENET, plain_clips
from tvtsv2_mm.evaluation.probes import read_cache


def call(monkeypatch, tool, *words):
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, words)])
    runpy.run_path(str(ROOT / 'tools' / f'{tool}.py'), run_name='__main__')


def test_probes_of_one_cache(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'data' / 'hmdb51'
    trained, labels = make_recognition(root, 'train_split1.txt', 'test_split1.txt')
    paths = [f'copy_of_{Path(path).name}' for path in trained]
    for path, copy in zip(trained, paths, strict=True):
        shutil.copy(root / 'videos' / path, root / 'videos' / copy)
    shutil.copy(CLIPS / 'rotated_90.mov', root / 'videos')
    paths, test_labels = [*paths, 'rotated_90.mov'], [*labels, 2]
    (root / 'annotations' / 'test_split1.txt').write_text(''.join(
        f'{path} {label}\n' for path, label in zip(paths, test_labels, strict=True)))
    model = save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'model.pth')
    name = 'vit-b16_linear-probe_hmdb51.py'
    call(monkeypatch, 'probe_features', 'extract', CONFIGS / name, 'model.pth', '--out',
         'cache/features.npz', '--token-grid', 2, '--cfg-options', *small_options(name))
    cache = read_cache(tmp_path / 'cache' / 'features.npz')
    assert cache.labels['train'].tolist() == labels
    assert cache.labels['test'].tolist() == test_labels
    assert cache.names['test'].tolist() == paths
    for i, path in enumerate(paths[:5]):
        with torch.no_grad():
            embeds, tokens = model.backbone(plain_clips(root / 'videos' / path, IMAGENET))
        cells = tokens[0, 1:].view(12, 2, 7, 2, 7, -1).mean(dim=(2, 4)).flatten(0, 2)
        np.testing.assert_allclose(cache.embeds['test'][i], embeds[0].numpy(), atol=2e-2)
        np.testing.assert_allclose(cache.tokens['train'][i], cells.numpy(), atol=2e-2)

    with pytest.warns(UserWarning, match='5 of 6 test videos have the features of a training'):
        call(monkeypatch, 'probe_features', 'fit', 'cache/features.npz')
    files = [tmp_path / 'cache' / f'features_{kind}.json' for kind in
             ('logistic', 'knn', 'attentive')]
    results = [json.loads(file.read_text()) for file in files]
    for key in ('protocol', 'benchmark', 'views', 'split', 'checkpoint', 'config', 'versions'):
        assert results[0][key] == results[1][key] == results[2][key]
    assert results[0]['split']['used'] == 6
    assert results[2]['token_grid'] == 2
    for result in results:
        assert any('was chosen on 1 videos' in told for told in result['probe']['warnings'])
        assert list(result['metrics']['raw']) == ['acc/top1']  # of three classes

    call(monkeypatch, 'compare_results', *(f'{file.stem}={file}' for file in files))
    printed = capsys.readouterr().out
    assert 'features_knn' in printed and 'paper: TVTSv2 B/16' in printed and '64.7' in printed


def test_a_probe_of_what_frames_without_their_order_tell(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'data' / 'hmdb51'
    trained, labels = make_recognition(root, 'train_split1.txt', 'test_split1.txt')
    for path in trained:
        shutil.copy(root / 'videos' / path, root / 'videos' / f'copy_of_{Path(path).name}')
    (root / 'annotations' / 'test_split1.txt').write_text(''.join(
        f'copy_of_{Path(path).name} {label}\n'
        for path, label in zip(trained[1:], labels[1:], strict=True)) + 'rotated_90.mov 2\n')
    shutil.copy(CLIPS / 'rotated_90.mov', root / 'videos')
    model = save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'model.pth')
    name = 'vit-b16_linear-probe_hmdb51.py'
    for frames in ('natural', 'reversed'):
        call(monkeypatch, 'probe_features', 'extract', CONFIGS / name, 'model.pth', '--out',
             f'{frames}.npz', '--frames', frames, '--cfg-options', *small_options(name))
        with pytest.warns(UserWarning):
            call(monkeypatch, 'probe_features', 'fit', f'{frames}.npz', '--probes', 'knn')
    cache = read_cache(tmp_path / 'reversed.npz')
    for split, place in (('train', 0), ('test', 2)):
        video = root / 'videos' / cache.names[split][place]
        with torch.no_grad():
            embeds, _ = model.backbone(plain_clips(video, IMAGENET).flip(1))
        np.testing.assert_allclose(cache.embeds[split][place], embeds[0].numpy(), atol=2e-2)
    capsys.readouterr()
    call(monkeypatch, 'compare_results', '--no-paper', 'a=reversed_knn.json', 'b=natural_knn.json')
    lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in lines[2].split('|')[1:-1]] == [
        '', 'b', 'drop reversed', 'chance']
    assert lines[4].count('[') == 2 and '33.3' in lines[4]


@pytest.mark.parametrize('changes', [
    dict(intervals=dict(raw={'acc/top1': 5}), metrics=dict(raw={'acc/top1': 1})),
    dict(chance=[1]), dict(metrics=[1]), dict(metrics=dict(raw=dict(a='x'))), dict(views=[1]),
    dict(config=5), dict(protocol=[1]), dict(checkpoint=dict(keys=dict(a=1))),
    dict(split=dict(sha256=5))])
def test_a_result_file_of_something_else_is_named(tmp_path, monkeypatch, capsys, changes):
    (tmp_path / 'odd.json').write_text(json.dumps(dict(schema=1, metrics={}) | changes))
    with pytest.raises(SystemExit):
        call(monkeypatch, 'compare_results', str(tmp_path / 'odd.json'))
    assert 'odd.json is no result file of this version' in capsys.readouterr().err


@pytest.mark.parametrize(('text', 'message'), [
    (None, '5 videos are in the train and in the test split'),
    ('waving/../short.mp4 1\n', '1 videos are in the train and in the test split'),
    ('linked.mp4 1\n', r'1 videos .* such as .*/videos/short\.mp4'),
    ('short.mp4 51\n', r'test_split1\.txt, line 1: label 51 does not fit')])
def test_extraction_looks_at_the_lists_first(monkeypatch, tmp_path, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'data' / 'hmdb51'
    make_recognition(root, 'train_split1.txt', 'test_split1.txt')
    if text is not None:
        (root / 'annotations' / 'test_split1.txt').write_text(text)
    (root / 'videos' / 'linked.mp4').symlink_to('short.mp4')
    (tmp_path / 'model.pth').touch()  # which is not read any more
    name = 'vit-b16_linear-probe_hmdb51.py'
    with pytest.raises(SystemExit):
        call(monkeypatch, 'probe_features', 'extract', CONFIGS / name, 'model.pth', '--out',
             'features.npz', '--cfg-options', *small_options(name))
    assert re.search(message, capsys.readouterr().err)
