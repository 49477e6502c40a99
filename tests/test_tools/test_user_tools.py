"""What a user with a checkpoint and videos calls, as command lines."""

import json
import os
import runpy
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tests.tiny_model import (
    CONFIG,
    NAMES,
    ROOT,
    VIDEOS,
    build_tiny_model,
    embed_clips,
    read_clip,
    save_tiny_checkpoint,
)
from tvtsv2_mm.apis.features import load_features
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.evaluation import results
from tvtsv2_mm.models.backbones import SpaceTimeViT


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')

    def tool(name, *words):
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, words)])
        capsys.readouterr()  # what the test itself has printed
        runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')
        return capsys.readouterr().out
    return tool


def table_rows(text):
    lines = [line.strip('|').split('|') for line in text.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line] for line in lines if line[0].strip()]


@pytest.mark.parametrize('kind', ['file', 'folder'])
def test_extract_and_search(call, checkpoint, tmp_path, kind):
    if kind == 'folder':
        (tmp_path / 'hub').mkdir()
        checkpoint = shutil.copy(checkpoint, tmp_path / 'hub' / 'pytorch_model.bin').parent
    out = call('extract_features', VIDEOS, 'features', '-C', checkpoint, '--device', 'cpu',
               '--num-workers', 0)
    assert '4 videos in features' in out
    texts = ['a man speaks', 'a drawing']
    words = ['search', 'features', *texts, '-C', checkpoint, '--device', 'cpu', '--top-k', 3]
    heading, *rows = table_rows(call(*words))
    embeds = embed_clips(build_tiny_model(), [read_clip(name) for name in NAMES])
    infer = TVTSv2Inferencer(CONFIG, checkpoint, device='cpu')
    similarity = infer.embed_texts(texts) @ embeds.T
    assert heading == ['text', 'rank', 'video', 'cosine']
    expected = [[text, str(i + 1), NAMES[k], f'{row[k]:.2f}']
                for text, row in zip(texts, similarity, strict=True)
                for i, k in enumerate(np.argsort(-row)[:3])]
    assert [[*others, f'{float(cosine):.2f}'] for *others, cosine in rows] == expected
    found = json.loads(call(*words, '--json'))['predictions']
    assert [prediction['text'] for prediction in found] == texts
    assert [video for prediction in found for video in prediction['videos']] == [
        row[2] for row in rows]
    np.testing.assert_allclose([prediction['scores'] for prediction in found],
                               -np.sort(-similarity)[:, :3], atol=1e-5)


def test_windows_and_the_search_of_moments(call, checkpoint, tmp_path, capsys, monkeypatch):
    arguments = [VIDEOS, 'features', '-C', checkpoint, '--device', 'cpu', '--num-workers', 0]
    call('extract_features', *arguments, '--windows', 0.5, '--per-video-files')
    assert json.loads((tmp_path / 'features/meta.json').read_text())['windows'] == dict(
        seconds=0.5, stride=0.25)
    found = load_features('features')
    assert np.load('features/per_video/part_0.npy').shape[0] == found.videos.count('part_0.mp4')
    told = []
    for module in ('extract', 'per_video'):
        monkeypatch.setattr(f'tvtsv2_mm.apis.features.{module}.print_log',
                            lambda text, *_: told.append(text))
    Path('features/per_video/gone.npy').touch()
    call('extract_features', *arguments, '--windows', 0.5)
    call('extract_features', *arguments, '--windows', 0.5, '--per-video-files')
    assert told == [
        'features/per_video is as an earlier run left it: --per-video-files renews it',
        '1 files in features/per_video are of no video of this run, the first is gone.npy: delete '
        'them if nothing needs them']
    for wrong, message in ((['--stride', '2'], '--stride is of --windows'),
                           (['--windows', '0'], 'seconds of windows must be a positive number'),
                           (['--windows', '4', '--stride', '-1'], 'stride of windows must be')):
        with pytest.raises(SystemExit):
            call('extract_features', *arguments, *wrong)
        assert message in capsys.readouterr().err

    words = ['search', 'features', 'a man speaks', '-C', checkpoint, '--device', 'cpu']
    [query] = TVTSv2Inferencer(weights=str(checkpoint), device='cpu').embed_texts(['a man speaks'])
    best = found.videos[int((found.features @ query).argmax())]
    heading, *rows = table_rows(call(*words))
    assert heading == ['text', 'rank', 'video', 'moment', 'cosine']
    assert rows[0][2] == best and ' - ' in rows[0][3]
    heading, *rows = table_rows(call(*words, '--per-video'))
    assert heading == ['text', 'rank', 'video', 'cosine'] and rows[0][2] == best
    assert len(rows) == len({*found.videos}) == len({row[2] for row in rows})


def test_search_by_example(call, checkpoint, tmp_path, capsys):
    call('extract_features', VIDEOS, 'features', '-C', checkpoint, '--device', 'cpu',
         '--num-workers', 0)
    words = ['search', 'features', '-C', checkpoint, '--device', 'cpu', '--json']
    for name in NAMES:
        [found] = json.loads(call(*words, '--like', VIDEOS / name))['predictions']
        assert found['videos'][0] == name and found['scores'][0] == pytest.approx(1, abs=1e-5)
    [found] = json.loads(call(*words, 'a', 'b', '--like', VIDEOS / NAMES[0], '--sum', 1, -0.5, 2,
                              '--not', 'c'))['predictions']
    infer = TVTSv2Inferencer(weights=str(checkpoint), device='cpu', show_progress=False)
    query = np.array([1, -0.5, -0.5, 2]) @ np.concatenate([
        infer.embed_texts(['a', 'b', 'c']), infer.embed_videos([str(VIDEOS / NAMES[0])])])
    cosines = load_features('features').features @ (query / np.linalg.norm(query))
    np.testing.assert_allclose(found['scores'], -np.sort(-cosines), atol=1e-5)
    assert found['text'] == f'+1 a -0.5 b +2 {VIDEOS / NAMES[0]}'
    for wrong, message in (([], 'nothing to look for: give a text, before --like and --not'),
                           (['a', '--sum', 1, 2], '2 weights are given for 1 texts and files'),
                           (['a', '--sum', 0], r'leave nothing of a query'),
                           (['a', '--sum', '1e39'], r'weights go from -1000 to 1000'),
                           (['a', '--sum', 'nan'], r'weights go from -1000 to 1000'),
                           (['--like', 'gone.mp4'], 'gone.mp4: there is no such file')):
        with pytest.raises(SystemExit):
            call(*words, *wrong)
        assert message in capsys.readouterr().err


def test_search_hashes_once_and_builds_no_video_tower(call, checkpoint, tmp_path, monkeypatch):
    checkpoint = shutil.copy(checkpoint, tmp_path / 'own.pth')
    call('extract_features', VIDEOS, 'features', '-C', checkpoint, '--device', 'cpu',
         '--num-workers', 0)
    words = ['search', 'features', 'a', '-C', checkpoint, '--device', 'cpu']
    expected = call(*words)
    hashed, built = [], []
    monkeypatch.setattr(results, 'file_sha256', lambda path: hashed.append(path) or 'other')
    init = SpaceTimeViT.__init__

    def count(self, **options):
        init(self, **options)
        built.append({parameter.device.type for parameter in self.parameters()})

    monkeypatch.setattr(SpaceTimeViT, '__init__', count)
    assert call(*words) == expected
    assert hashed == []
    assert all(devices == {'meta'} for devices in built)
    os.utime(checkpoint, ns=(1, 1))
    with pytest.raises(SystemExit):
        call(*words)
    assert [path.name for path in hashed] == ['own.pth']


def test_search_refuses_features_of_another_checkpoint(call, checkpoint, tmp_path, capsys):
    call('extract_features', VIDEOS, 'features', '-C', checkpoint, '--device', 'cpu',
         '--num-workers', 0)
    meta = json.loads((tmp_path / 'features' / 'meta.json').read_text())
    (tmp_path / 'features' / 'meta.json').write_text(
        json.dumps(meta | dict(checkpoint='other.pth', checkpoint_sha256='0')))
    with pytest.raises(SystemExit):
        call('search', 'features', 'a', '-C', checkpoint)
    assert 'made with another checkpoint (other.pth)' in capsys.readouterr().err


def test_demo(call, checkpoint, tmp_path):
    labels = ['a man speaks', 'a drawing', 'a room']
    video = VIDEOS / 'part_0.mp4'
    words = ['demo', video, *labels, '-C', checkpoint, '--device', 'cpu']
    heading, *rows = table_rows(call(*words))
    infer = TVTSv2Inferencer(CONFIG, checkpoint, device='cpu', show_progress=False)
    [embed] = embed_clips(build_tiny_model(), [read_clip('part_0.mp4')])
    cosines = infer.embed_texts(labels) @ embed
    assert heading == ['video', 'rank', 'label', 'cosine', 'probability']
    assert [row[:3] for row in rows] == [
        [str(video), str(i + 1), labels[k]] for i, k in enumerate(np.argsort(-cosines))]
    assert sum(float(row[4].rstrip('%')) for row in rows) == pytest.approx(100, abs=0.2)
    found = json.loads(call(*words, '--json'))
    assert found['failed'] == [] and found['pictures'] == 'part_0_labels.png'
    [prediction] = found['predictions']
    assert prediction['video'] == str(video)
    assert prediction['labels'] == [row[2] for row in rows]
    picture = imread(tmp_path / 'part_0_labels.png')
    assert picture.shape[1] == 1000
    assert picture.std() > 0.05


def test_demo_of_a_folder(call, checkpoint, tmp_path):
    folder = shutil.copytree(VIDEOS, tmp_path / 'videos')
    (folder / 'broken.mp4').write_text('no video')
    words = ['demo', 'videos', 'a man speaks', 'a drawing', '-C', checkpoint, '--device', 'cpu']
    _, *alone = table_rows(call('demo', 'videos/part_0.mp4', *words[2:]))
    out = call(*words)
    assert 'failed: videos/broken.mp4: ' in out
    _, *rows = table_rows(out)
    assert [row[:2] for row in rows] == [
        [f'videos/{name}', rank] for name in NAMES for rank in '12']
    found = json.loads(call(*words, '--json'))
    assert [prediction['video'] for prediction in found['predictions']] == [
        f'videos/{name}' for name in NAMES]
    assert [failure['video'] for failure in found['failed']] == ['videos/broken.mp4']
    assert rows[4:6] == alone
    assert 'picture' not in out
    assert 'pictures: drawn' in call(*words, '--out', 'drawn')
    assert [path.name for path in sorted((tmp_path / 'drawn').iterdir())] == [
        f'{i:03d}_{name.split(".")[0]}.png' for i, name in enumerate(NAMES)]


def test_profile(call, checkpoint, tmp_path, monkeypatch):
    forward = SpaceTimeViT.forward

    def slow(*args):
        time.sleep(1)
        return forward(*args)

    monkeypatch.setattr(SpaceTimeViT, 'forward', slow)
    start = time.perf_counter()
    rows = table_rows(call('extract_features', VIDEOS, 'features', '-C', checkpoint, '--device',
                           'cpu', '--batch-size', 2, '--profile'))
    seconds = {row[0]: float(row[1]) for row in rows[1:]}
    assert 2 <= seconds['model'] < sum(seconds.values()) < time.perf_counter() - start
    assert seconds['decoder'] > 0
    assert seconds['between'] < 2  # what was slept is not in it


@pytest.mark.parametrize(('words', 'message'), [
    (['extract_features', 'nowhere', 'out', '-C', 'CHECKPOINT'], 'no folder of videos'),
    (['extract_features', VIDEOS, 'out', '-C', 'nowhere.pth'], 'no checkpoint nowhere.pth'),
    (['extract_features', VIDEOS, 'out', '-C', 'CHECKPOINT', '--part-size', '0'], 'part_size'),
    (['extract_features', VIDEOS, 'out', '-C', 'CHECKPOINT', '--ray', '--launcher', 'pytorch'],
     'choose one'),
    (['search', 'nowhere', 'a', '-C', 'CHECKPOINT'], 'no index.jsonl'),
    (['demo', 'nowhere.mp4', 'a', '-C', 'CHECKPOINT'], 'no video nowhere.mp4'),
    (['demo', VIDEOS / 'part_0.mp4', 'a', '-C', 'CHECKPOINT', '--out', 'a.txt'], 'end in .png'),
    (['demo', CONFIG, 'a', '-C', 'CHECKPOINT'], 'cannot be opened as a video'),
    (['export', 'out', '-C', 'nowhere.pth'], 'no checkpoint nowhere.pth'),
])
def test_a_wrong_command_line_gives_one_clear_error(call, checkpoint, capsys, words, message):
    words = [checkpoint if word == 'CHECKPOINT' else word for word in words]
    with pytest.raises(SystemExit):
        call(*words)
    assert message in capsys.readouterr().err


def test_export_prints_the_differences(call, checkpoint, tmp_path):
    rows = table_rows(call('export', 'out', '-C', checkpoint, '--formats', 'pt2'))
    assert [row[0] for row in rows[1:]] == ['out/video.pt2', 'out/text.pt2']
    assert all(float(row[1]) < 1e-5 for row in rows[1:])
