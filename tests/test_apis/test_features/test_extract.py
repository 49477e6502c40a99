import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from mmengine.config import Config

from tests.grey_videos import write_grey_video
from tests.helpers import run_killed_at_write
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
from tvtsv2_mm.apis.clips import ClipSource
from tvtsv2_mm.apis.features import FeatureStore, load_features
from tvtsv2_mm.apis.features import extract as extract_module
from tvtsv2_mm.apis.features.extract import ExtractionConfig, extract, read_video_list
from tvtsv2_mm.apis.features.on_ray import extract_on_ray
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.search import Searcher
from tvtsv2_mm.apis.windows import Windows
from tvtsv2_mm.utils.errors import UnwritableError


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')
    return ExtractionConfig(weights=str(path), device='cpu', batch_size=2)


@pytest.fixture(scope='module')
def expected():
    clips = [read_clip(name) for name in NAMES]
    return dict(zip(NAMES, embed_clips(build_tiny_model(), clips), strict=True))


@pytest.fixture
def corpus(tmp_path):
    """Nine videos in two folders; one is broken."""
    folder = tmp_path / 'corpus'
    for part in ('a', 'b'):
        shutil.copytree(VIDEOS, folder / part)
    (folder / 'a' / 'broken.mp4').write_text('no video')
    (folder / 'notes.txt').write_text('no video either')
    return folder


@pytest.fixture
def decoded(monkeypatch):
    """Names of the videos that are decoded in this process."""
    names = []
    prepare = ClipSource.__getitem__

    def count(self, index):
        name, result = prepare(self, index)
        names.append('/'.join(name.split('/')[-2:]))
        return name, result

    monkeypatch.setattr(ClipSource, '__getitem__', count)
    return names


def check(folder, expected):
    found = load_features(folder)
    assert found.videos == [f'{part}/{name}' for part in 'ab' for name in NAMES]
    np.testing.assert_allclose(
        found.features, [expected[name.split('/')[1]] for name in found.videos], atol=1e-5)
    [failure] = found.failed
    assert failure.video == 'a/broken.mp4'
    assert 'cannot be opened' in failure.reason
    leftovers = [name for _, _, names in os.walk(folder) for name in names
                 if name.startswith('.') and name != '.lock']
    assert not leftovers


@pytest.mark.parametrize(('format', 'workers', 'part_size'), [
    ('npy', 0, 2), ('safetensors', 2, 4), ('parquet', 0, 100)])
def test_features_of_a_folder(corpus, tmp_path, config, expected, format, workers, part_size):
    config = ExtractionConfig(**vars(config) | dict(num_workers=workers))
    counts = extract(str(corpus), str(tmp_path / 'out'), config, format=format,
                     part_size=part_size, show_progress=False)
    assert counts == (8, 1)
    check(tmp_path / 'out', expected)


def test_nan_is_a_failure_and_is_not_searched(corpus, tmp_path, config, monkeypatch):
    forward = TVTSv2Inferencer.forward

    def spoil(self, *args, **kwargs):
        samples = forward(self, *args, **kwargs)
        samples[0].video_embed = samples[0].video_embed / 0
        return samples

    monkeypatch.setattr(TVTSv2Inferencer, 'forward', spoil)
    config = ExtractionConfig(**vars(config) | dict(batch_size=8))
    extract(str(corpus), str(tmp_path / 'out'), config, show_progress=False)
    found = load_features(tmp_path / 'out')
    assert 'b/part_0.mp4' in found.videos
    assert {failure.video: 'not finite' in failure.reason for failure in found.failed} == {
        'a/broken.mp4': False, 'a/example.mp4': True, 'b/rotated_90.mov': True}
    found.features[1, 0] = np.nan  # by an older version
    with pytest.raises(ValueError, match='NaN or infinity'):
        Searcher(found).search(np.ones(found.features.shape[1], np.float32))


def test_a_second_run_decodes_only_what_is_new(corpus, tmp_path, config, expected, decoded):
    out = str(tmp_path / 'out')
    shutil.move(corpus / 'b' / 'part_0.mp4', tmp_path / 'later.mp4')
    assert extract(str(corpus), out, config, part_size=3, show_progress=False) == (7, 1)
    decoded.clear()
    extract(str(corpus), out, config, part_size=3, show_progress=False)
    assert decoded == []
    shutil.move(tmp_path / 'later.mp4', corpus / 'b' / 'part_0.mp4')
    assert extract(str(corpus), out, config, part_size=3, show_progress=False) == (8, 1)
    assert decoded == ['b/part_0.mp4']
    check(out, expected)


def test_what_was_made_of_files_that_are_away_stays(corpus, tmp_path, config, decoded,
                                                    monkeypatch):
    """Of a network disk, say; what failed since there was no file is tried once there is one."""
    told = []
    monkeypatch.setattr(extract_module, 'print_log', lambda text, *_: told.append(text))
    (corpus / 'list.txt').write_text('\n'.join(['a/example.mp4', 'b/example.mp4', 'link.mp4']))
    os.symlink('nowhere.mp4', corpus / 'link.mp4')
    words = str(corpus / 'list.txt'), str(tmp_path / 'out'), config
    assert extract(*words, show_progress=False) == (2, 1)
    os.rename(corpus / 'a', corpus / 'away')
    decoded.clear()
    assert extract(*words, show_progress=False) == (2, 1)
    assert decoded == []
    assert told == [f'1 files are not there now, the first is a/example.mp4: what {words[1]} has '
                    'of them stays']
    os.rename(corpus / 'away', corpus / 'a')
    shutil.copy(VIDEOS / 'part_0.mp4', corpus / 'nowhere.mp4')
    assert extract(*words, show_progress=False) == (3, 0)
    assert decoded == ['corpus/link.mp4']


def test_a_wrong_option_spoils_nothing(corpus, tmp_path, config):
    out = str(tmp_path / 'out')
    windows = replace(config, windows=Windows(seconds=2.0, stride=1.0))
    for wrong, message in (
            (dict(fps=-1.0), 'fps must be positive'), (dict(fps=np.inf), 'fps must be positive'),
            (dict(fps=np.nan), 'fps must be positive'), (dict(batch_size=0), 'batch_size must be')):
        with pytest.raises(ValueError, match=message):
            extract(str(corpus), out, replace(windows, **wrong))
    # What nothing was made with binds nobody.
    store = FeatureStore(out)
    with store.locked():
        store.begin(dict(fps=3))
    extract(str(corpus), out, windows, show_progress=False)
    with pytest.raises(ValueError, match='made with something else'):
        extract(str(corpus), out, config)


def test_a_shard_that_has_gone_is_made_anew_and_what_is_left_out_told(
        corpus, tmp_path, config, expected, decoded, monkeypatch):
    told = []
    monkeypatch.setattr('tvtsv2_mm.apis.features.shards.print_log',
                        lambda text, logger: told.append(text))
    out = tmp_path / 'out'
    extract(str(corpus), str(out), config, part_size=2, show_progress=False)
    [shard, *_] = sorted((out / 'parts').glob('*.npy'))
    shard.unlink()
    decoded.clear()
    extract(str(corpus), str(out), config, show_progress=False)
    assert len(decoded) == 2 and told == [f'{shard} has gone: its videos are extracted anew']
    found = load_features(out)
    assert len(found.videos) == 2 * len(NAMES)
    for video, features in zip(found.videos, found.features, strict=True):
        np.testing.assert_allclose(features, expected[video[2:]], atol=1e-5)
    shutil.rmtree(corpus / 'b')
    extract(str(corpus), str(out), config, show_progress=False)
    assert told[1].startswith(f'{len(NAMES)} videos of earlier runs in {out} are not')
    file = tmp_path / 'file'
    file.touch()
    with pytest.raises(UnwritableError, match='a file has its name'):
        extract(str(corpus), str(file), config, show_progress=False)
    with pytest.raises(ValueError, match='device nonsense cannot be used'):
        extract(str(corpus), str(out), replace(config, device='nonsense'), show_progress=False)


def test_failed_videos_are_tried_again_on_request(corpus, tmp_path, config, decoded):
    out = str(tmp_path / 'out')
    extract(str(corpus), out, config, show_progress=False)
    decoded.clear()
    shutil.copy(VIDEOS / 'part_0.mp4', corpus / 'a' / 'broken.mp4')
    assert extract(str(corpus), out, config, retry_failed=True, show_progress=False) == (9, 0)
    assert decoded == ['a/broken.mp4']
    assert load_features(out).failed == []


@pytest.mark.parametrize('writes', [6, 7])
def test_a_kill_at_a_write_costs_one_part(corpus, tmp_path, config, expected, decoded, writes):
    """Writes: hash, meta, source; features and record of each part, killed in the second."""
    out = tmp_path / 'out'
    run_killed_at_write(
        'from tvtsv2_mm.apis.features.extract import ExtractionConfig, extract',
        "extract(sys.argv[1], sys.argv[2], ExtractionConfig(weights=sys.argv[3], device='cpu', "
        'batch_size=2), part_size=2, show_progress=False)',
        corpus, out, config.weights, write=writes)
    [first] = FeatureStore(out).parts()
    assert [*first['videos'], *(f['video'] for f in first['failed'])] == [
        'a/example.mp4', 'a/broken.mp4']
    with pytest.raises(FileNotFoundError, match='did not end'):
        load_features(out)
    assert extract(str(corpus), str(out), config, part_size=2, show_progress=False) == (8, 1)
    assert len(decoded) == 7
    check(out, expected)


def test_two_processes_share_the_parts(corpus, tmp_path, config, expected):
    """By the ordinary launcher, as a user starts it."""
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
         ROOT / 'tools' / 'extract_features.py', corpus, 'out', '-C', config.weights,
         '--device', 'cpu', '--part-size', '2', '--num-workers', '0', '--launcher', 'pytorch'],
        cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'), text=True,
        capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('8 videos in out; 1 failed') == 1
    check(tmp_path / 'out', expected)
    assert len(list(FeatureStore(tmp_path / 'out').parts())) == 5


DYING = """
import os, signal
from pathlib import Path
from tvtsv2_mm.models import SpaceTimeViT
from tvtsv2_mm.registry import MODELS

@MODELS.register_module()
class DyingViT(SpaceTimeViT):
    def forward(self, *args):
        died = Path(__file__).with_name('died')
        if self.calls and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls = True
        return super().forward(*args)

    calls = False
"""


@pytest.mark.slow
def test_on_ray(corpus, tmp_path, config, expected, monkeypatch):
    """A worker is killed in the middle of a part; all paths are relative."""
    (tmp_path / 'dying.py').write_text(DYING)
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.type = 'DyingViT'
    cfg.custom_imports = dict(imports=['dying'])
    cfg.dump(tmp_path / 'config.py')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}:{ROOT}')
    config = ExtractionConfig(**vars(config) | dict(config='config.py'))
    counts = extract_on_ray('corpus', 'out', config, num_replicas=2, part_size=3,
                            show_progress=False)
    assert (tmp_path / 'died').exists()
    assert counts == (8, 1)
    check(tmp_path / 'out', expected)
    assert [part['number'] for part in FeatureStore(tmp_path / 'out').parts()] == [0, 1, 2]
    # All is there: Ray is not even started.
    monkeypatch.setattr('ray.init', lambda **_: pytest.fail('nothing was left to do'))
    extract_on_ray('corpus', 'out', config, part_size=3, show_progress=False)


def test_a_folder_of_another_model_is_refused(corpus, tmp_path, config):
    out = tmp_path / 'out'
    store = FeatureStore(out)
    with store.locked():
        store.begin(dict(dtype='float16'))
        store.write_part(0, ['a.mp4'], np.ones((1, 4)), [])
    with pytest.raises(ValueError, match="dtype: 'float16' there, 'float32' now"):
        extract(str(corpus), str(out), config, show_progress=False)


def test_frames_otherwise_lie_apart_and_go_on_from_anywhere(corpus, tmp_path, config,
                                                            monkeypatch):
    """Their order is that of the names in the list, not of the folder as it is given."""
    shuffled = ExtractionConfig(**vars(config) | dict(frames='shuffled'))
    extract(str(corpus), str(tmp_path / 'out'), shuffled, show_progress=False)
    monkeypatch.chdir(corpus)
    extract('.', str(tmp_path / 'here'), shuffled, show_progress=False)
    extract('.', str(tmp_path / 'natural'), config, show_progress=False)
    out, here, natural = (load_features(tmp_path / name) for name in ('out', 'here', 'natural'))
    np.testing.assert_array_equal(out.features, here.features)
    assert np.abs(out.features - natural.features).max() > 1e-3
    # The same video under two names has two orders.
    half = len(out.videos) // 2
    assert np.abs(out.features[:half] - out.features[half:]).max() > 1e-3
    with pytest.raises(ValueError, match='clip: '):
        extract('.', str(tmp_path / 'out'), config, show_progress=False)
    assert not any('frames' in step for step in natural.meta['clip'])  # so old folders go on


def test_a_second_writer_is_refused(corpus, tmp_path, config):
    with (FeatureStore(tmp_path / 'out').locked(),
          pytest.raises(ValueError, match='another run')):
        extract(str(corpus), str(tmp_path / 'out'), config, show_progress=False)


def test_lists(tmp_path):
    (tmp_path / 'list.txt').write_text('b.mp4\n\n a.mp4 \n')
    assert read_video_list(str(tmp_path / 'list.txt')) == (str(tmp_path), ['b.mp4', 'a.mp4'])
    (tmp_path / 'list.txt').write_text('a.mp4\nb.mp4', encoding='utf-8-sig')
    assert read_video_list(str(tmp_path / 'list.txt'))[1] == ['a.mp4', 'b.mp4']
    for again in ('b.mp4', './b.mp4'):
        (tmp_path / 'list.txt').write_text(f'b.mp4\n{again}\n')
        with pytest.raises(ValueError, match=r'lists .*b\.mp4 twice'):
            read_video_list(str(tmp_path / 'list.txt'))
    (tmp_path / 'list.txt').write_text('\n')
    with pytest.raises(ValueError, match='lists no video'):
        read_video_list(str(tmp_path / 'list.txt'))
    with pytest.raises(ValueError, match='no list of videos'):
        read_video_list(str(VIDEOS / 'part_0.mp4'))
    with pytest.raises(FileNotFoundError, match='no folder'):
        read_video_list(str(tmp_path / 'nowhere'))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no video below'):
        read_video_list(str(tmp_path / 'empty'))


def test_a_name_that_is_not_utf8_is_extracted_under_its_escaped_name(config, tmp_path):
    (tmp_path / 'videos').mkdir()
    shutil.copy(VIDEOS / NAMES[0], tmp_path / 'videos/caf\udce9.mp4')
    (tmp_path / 'videos/no\udce9.mp4').write_text('no video')
    (tmp_path / 'videos/loop').symlink_to('.')
    for _ in range(2):  # finished names are known again
        assert extract(str(tmp_path / 'videos'), str(tmp_path / 'features'), config,
                       show_progress=False) == (1, 1)
    index = load_features(str(tmp_path / 'features'))
    assert list(index.videos) == ['caf\\udce9.mp4']
    assert [failure.video for failure in index.failed] == ['no\\udce9.mp4']
    assert len(list((tmp_path / 'features/parts').glob('*.json'))) == 1


def test_the_index_tells_by_which_rule_frames_were_chosen(tmp_path, config):
    folder = tmp_path / 'corpus'
    folder.mkdir()
    write_grey_video(folder / 'even.mp4')
    write_grey_video(folder / 'pause.mp4', times=[i / 10 + 5 * (i > 20) for i in range(40)])
    extract(str(folder), str(tmp_path / 'out'), config, show_progress=False)
    rows = map(json.loads, (tmp_path / 'out/index.jsonl').read_text().splitlines())
    assert {row['video']: row['spacing'] for row in rows} == {
        'even.mp4': 'index', 'pause.mp4': 'time'}


@pytest.mark.parametrize(('times', 'dtype', 'warned'), [
    (2.0, 'bfloat16', 1), (0.5, 'bfloat16', 0), (2.0, 'float32', 0)])
def test_a_dtype_that_is_slower_here_is_told(config, monkeypatch, recwarn, times, dtype, warned):
    monkeypatch.setattr(extract_module, 'slowdown', lambda _: times)
    replace(config, dtype=dtype).build()
    told = [str(one.message) for one in recwarn if 'times as long' in str(one.message)]
    assert len(told) == warned
    assert all('2.0 times as long for products in bfloat16' in one for one in told)
