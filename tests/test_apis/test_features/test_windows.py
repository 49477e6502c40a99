import json
import os
import shutil
import tracemalloc

import numpy as np
import pytest

from tests.grey_videos import write_grey_video
from tests.tiny_model import VIDEOS, build_tiny_model, embed_clips, save_tiny_checkpoint
from tvtsv2_mm.apis.features import load_features
from tvtsv2_mm.apis.features.extract import ExtractionConfig, extract
from tvtsv2_mm.apis.windows import Windows
from tvtsv2_mm.datasets.frame_indices import clip_frames
from tvtsv2_mm.datasets.transforms import DecodeClip
from tvtsv2_mm.video.base_reader import VideoReader
from tvtsv2_mm.video.opening import open_video
from tvtsv2_mm.video.pyav_reader import PyAVReader


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')
    return ExtractionConfig(weights=str(path), device='cpu', batch_size=3,
                            windows=Windows(seconds=2.0, stride=1.0))


@pytest.fixture
def corpus(tmp_path):
    """Videos of 4, 1 and 3.5 seconds, 10 frames a second, and a broken one."""
    folder = tmp_path / 'corpus'
    folder.mkdir()
    for name, frames in (('b.mp4', 40), ('a.mp4', 10), ('c.avi', 35)):
        write_grey_video(folder / name, num_frames=frames, codec='mpeg4')
    (folder / 'broken.mp4').write_text('no video')
    return folder


WINDOWS = {'a.mp4': [[0.0, 1.0]], 'b.mp4': [[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]],
           'c.avi': [[0.0, 2.0], [1.0, 3.0], [2.0, 3.5]]}


@pytest.mark.parametrize(('format', 'workers', 'part_size'), [
    ('npy', 0, None), ('safetensors', 2, 1), ('parquet', 2, 2)])
def test_each_window_is_a_clip(corpus, tmp_path, config, format, workers, part_size):
    config = ExtractionConfig(**vars(config) | dict(num_workers=workers))
    out = tmp_path / 'out'
    assert extract(str(corpus), str(out), config, format=format, part_size=part_size,
                   per_video_files=True, show_progress=False) == (3, 1)
    found = load_features(out)
    assert found.videos == [name for name, windows in WINDOWS.items() for _ in windows]
    assert found.spans.tolist() == [span for windows in WINDOWS.values() for span in windows]
    assert [failure.video for failure in found.failed] == ['broken.mp4']
    assert len(set(found.keys.tolist())) == 7
    clips = []
    for name, (start, end) in zip(found.videos, found.spans, strict=True):
        reader = open_video(str(corpus / name), short_side=64)
        frames = clip_frames(round(10 * start), round(10 * end), 8, 1)[0]
        clips.append(reader.get_frames(frames))
    np.testing.assert_allclose(found.features, embed_clips(build_tiny_model(), clips), atol=1e-5)
    for name, windows in WINDOWS.items():
        own = np.load(out / 'per_video' / f'{name[0]}.npy')
        np.testing.assert_array_equal(own, found.features[[video == name
                                                           for video in found.videos]])
        assert own.shape == (len(windows), found.features.shape[1])


def test_a_window_as_long_as_the_video_is_the_video(tmp_path, config):
    whole = ExtractionConfig(**vars(config) | dict(windows=None))
    longer = ExtractionConfig(**vars(config) | dict(windows=Windows(seconds=1e4, stride=5.0)))
    features = []
    for number, one in enumerate((whole, longer)):
        extract(str(VIDEOS), str(tmp_path / str(number)), one, show_progress=False)
        features.append(load_features(tmp_path / str(number)))
    assert features[0].videos == features[1].videos
    np.testing.assert_allclose(features[0].features, features[1].features, atol=1e-6)


def test_frames_by_their_rate(tmp_path, corpus, config, monkeypatch):
    asked = []
    stream = PyAVReader.stream_frames
    monkeypatch.setattr(PyAVReader, 'stream_frames', lambda self, indices, *rest: (
        asked.append(indices.tolist()), stream(self, indices, *rest))[1])
    config = ExtractionConfig(**vars(config) | dict(fps=2.5))
    extract(str(corpus), str(tmp_path / 'out'), config, show_progress=False)
    # Every 0.4 s from 0.2 s on, in windows of 2 s that begin each second.
    assert asked[1] == [2, 6, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 34, 38]
    for fps, windows, message in (
            (2.5, None, 'from windows alone'),
            (5.0, Windows(seconds=2.0, stride=1.0), '5 frames a second of 2 s are 10, and ')):
        with pytest.raises(ValueError, match=message):
            extract(str(corpus), str(tmp_path / 'other'),
                    ExtractionConfig(**vars(config) | dict(fps=fps, windows=windows)))
    with pytest.raises(ValueError, match='made with something else'):
        extract(str(corpus), str(tmp_path / 'out'),
                ExtractionConfig(**vars(config) | dict(fps=3.0)))


def test_of_long_videos_little_is_in_memory():
    class Reader(VideoReader):
        def __init__(self):
            super().__init__('film', np.arange(20000) / 10, 10.0, 2000.0)
            self.decoded = 0

        def get_frames(self, indices):
            self.decoded += len(indices)
            numbers = np.asarray(indices)[:, None, None, None] % 256
            return np.broadcast_to(numbers, (len(indices), 32, 32, 3)).astype(np.uint8)

        def close(self):
            pass

    reader = Reader()
    clips = [dict(video_reader=reader, filename='film', num_frames=10,
                  frame_inds=np.arange(start, start + 40, 4)) for start in range(0, 19960, 20)]
    tracemalloc.start()
    for start, clip in enumerate(DecodeClip().stream_clips(clips)):
        shown = [frame % 256 for frame in range(20 * start, 20 * start + 40, 4)]
        assert clip.pop('imgs')[:, 0, 0, 0].tolist() == shown
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.decoded == len(range(0, 19980, 4))  # each frame once
    assert peak < 4995 * 32 * 32 * 3 / 10, peak


def test_files_that_change_come_and_go_are_seen(corpus, tmp_path, config):
    out = str(tmp_path / 'out')
    assert extract(str(corpus), out, config, show_progress=False) == (3, 1)
    before = load_features(out)
    (corpus / 'a.mp4').unlink()
    shutil.copy(corpus / 'b.mp4', corpus / 'd.mp4')
    write_grey_video(corpus / 'broken.mp4', num_frames=12)
    assert extract(str(corpus), out, config, show_progress=False) == (4, 0)
    now = load_features(out)
    assert sorted({*now.videos}) == ['b.mp4', 'broken.mp4', 'c.avi', 'd.mp4']
    kept = {key: row for row, key in enumerate(before.keys)}
    for row, (key, video) in enumerate(zip(now.keys, now.videos, strict=True)):
        assert (key in kept) == (video in ('b.mp4', 'c.avi'))
        if key in kept:
            np.testing.assert_array_equal(now.features[row], before.features[kept[key]])
    # One that is broken now was whole before.
    (corpus / 'b.mp4').write_text('no video')
    os.utime(corpus / 'c.avi', (1, 1))
    assert extract(str(corpus), out, config, show_progress=False) == (3, 1)
    assert [failure.video for failure in load_features(out).failed] == ['b.mp4']
    numbers = [json.loads(line)['shard'] for line in (tmp_path / 'out/index.jsonl').open()]
    assert numbers == [f'parts/0000000{number}.npy' for number in (1, 2, 1)]


@pytest.mark.parametrize(('names', 'message'), [
    (['a.mp4', 'a.avi'], 'a.mp4 and a.avi would have one file, a.npy'),
    (['../corpus/a.mp4'], 'not below the folder'), (['/x/a.mp4'], 'not below the folder'),
    (['http://x/a.mp4'], 'not below the folder'), ([f'{"x" * 250}.mp4'], 'name is too long')])
def test_files_of_each_video_stay_in_their_folder(tmp_path, config, names, message):
    (tmp_path / 'list.txt').write_text('\n'.join(names))
    with pytest.raises(ValueError, match=message):
        extract(str(tmp_path / 'list.txt'), str(tmp_path / 'out'), config, per_video_files=True)
