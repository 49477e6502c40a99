"""From an annotation file to batches, by the config that users take."""

import json

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from tests.test_preparation.test_shards.test_encoding import write_video
from tests.tiny_model import ROOT
from tvtsv2_mm.preparation.shards import ShardConfig, make_shards
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig

CONFIG = ROOT / 'configs' / 'tvtsv2' / 'vit-b16_pretrain_shards.py'


@pytest.fixture(scope='module')
def shards(tmp_path_factory):
    """Videos of 40 s at 5 frames a second; frame k is grey of 20 + k, and word k is said in it."""
    folder = tmp_path_factory.mktemp('corpus')
    (folder / 'videos').mkdir()
    transcripts, captions = [], []
    for number in range(5):
        times = np.arange(200) / 5
        write_video(folder / 'videos' / f'{number}.mp4', times, size=(240, 320))
        words = [[str(k), k / 5, k / 5 + 0.2] for k in range(20, 180)]
        transcripts.append(dict(path=f'{number}.mp4', duration=40.0, words=words))
        captions.append(dict(path=f'{number}.mp4', captions=[f'video {number}'], start=10, end=12))
    for kind, records in (('yt', transcripts), ('webvid', captions)):
        (folder / f'{kind}.jsonl').write_text('\n'.join(map(json.dumps, records)))
        make_shards(ShardConfig(
            ann_file=str(folder / f'{kind}.jsonl'), videos=str(folder / 'videos'), part_size=2,
            encoding=EncodingConfig(crf=10)), str(folder / kind), show_progress=False)
    return folder


def batches(shards, workers):
    cfg = Config.fromfile(CONFIG)
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=workers, persistent_workers=False)
    for dataset, kind in zip(loader.dataset.datasets, ('yt', 'webvid'), strict=True):
        dataset.index = str(shards / kind / 'index.json')
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        return list(Runner.build_dataloader(loader, seed=3))


def test_words_belong_to_the_frames(shards):
    found = batches(shards, workers=0)
    assert [len(batch['data_samples'][0].texts) for batch in found] == [4, 1, 4, 1]
    for video, sample in zip(
            found[0]['inputs']['video'], found[0]['data_samples'], strict=True):
        assert video.shape == (12, 98, 3, 16, 16)  # the kept patches
        cut = float(sample.sample_id.split('=')[1].split(',')[0])
        greys = video.float().flatten(1).mean(1).numpy()
        # What the picture says about its number, the words say about their time.
        for (start, end), text in zip(sample.segments_s, sample.texts, strict=True):
            first, *_, last = (int(word) for word in text.split())
            assert (cut + start) * 5 == pytest.approx(first, abs=1)
            assert (cut + end) * 5 == pytest.approx(last + 1, abs=1)
        numbers = greys - 20
        assert np.all(np.diff(numbers) > 0)
        span = [(cut + seconds) * 5 for seconds in sample.span]
        assert span[0] - 2 <= numbers[0]
        assert numbers[-1] <= span[1] + 2
    for video, sample in zip(
            found[1]['inputs']['video'], found[1]['data_samples'], strict=True):
        numbers = video.float().flatten(1).mean(1).numpy() - 20
        # 2 s have 10 frames: black ones follow, as in the release.
        assert 48 <= numbers[0] <= numbers[9] <= 62
        assert sample.num_valid_frames == 10
        assert np.all(numbers[10:] == -20)


def test_the_same_clips_and_masks_with_workers(shards):
    for one, other in zip(batches(shards, 0), batches(shards, 2), strict=True):
        for key in ('video', 'tokens', 'kept_patches'):
            for a, b in zip(one['inputs'][key], other['inputs'][key], strict=True):
                assert a.equal(b)
