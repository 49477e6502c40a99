"""Targets: what runs of this package leave and read again: shards, parts, features, results."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np

from tests.fuzz.cases import Seed, Target
from tests.grey_videos import write_grey_video
from tvtsv2_mm.apis.features.shards import FeatureStore, load_features
from tvtsv2_mm.apis.search import Searcher
from tvtsv2_mm.apis.search.duplicates import find_duplicates
from tvtsv2_mm.datasets.drawn_index import DrawnIndex
from tvtsv2_mm.datasets.shards import ShardedTranscriptDataset
from tvtsv2_mm.datasets.shards.index import load_index
from tvtsv2_mm.datasets.shards.order import ShardDraw
from tvtsv2_mm.datasets.transforms import OpenVideo
from tvtsv2_mm.evaluation.compare_results import compare
from tvtsv2_mm.evaluation.probes.cache import FeatureCache, read_cache, write_cache
from tvtsv2_mm.evaluation.results import read_result, write_result
from tvtsv2_mm.preparation.converters import convert_webvid, report
from tvtsv2_mm.utils.errors import UserFileError, one_error

_USER = (ValueError, UserFileError, FileNotFoundError)
_META = dict(checkpoint='a.pth', checkpoint_sha256='0' * 64, model='x')


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file() and path.name != '.lock'}


# --- shards ---------------------------------------------------------------------------------------

def _shard(folder: Path) -> dict[str, bytes]:
    path = write_grey_video(folder / 'v.mp4', num_frames=6, fps=2, size=(16, 16))
    video = Path(path).read_bytes()
    record = dict(path='a.mp4', duration=3.0, words=[['so', 0.0, 0.5], ['it', 0.5, 2.0]])
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode='w', format=tarfile.USTAR_FORMAT) as tar:
        for number in range(3):
            for ending, content in (('mp4', video), ('json', json.dumps(record).encode())):
                info = tarfile.TarInfo(f'{number:06d}.{ending}')
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    index = dict(kind='transcripts', shards=[dict(name='0.tar', samples=3, bytes=9)])
    return {'index.json': json.dumps(index).encode(), '0.tar': shard.getvalue()}


def _index_seeds(folder: Path) -> list[Seed]:
    return [Seed({'index.json': _shard(folder)['index.json']})]


def _read_index(work: Path) -> None:
    index = load_index(str(work / 'index.json'))
    assert len(index) > 0 and index.url(0)


def _tar_seeds(folder: Path) -> list[Seed]:
    files = _shard(folder)
    return [Seed({'0.tar': files['0.tar']}, {'index.json': files['index.json']})]


def _read_tar(work: Path) -> None:
    data = ShardedTranscriptDataset(str(work / 'index.json'), max_refetch=4, pipeline=[
        OpenVideo(short_side=16)])
    for position in range(3):
        draw = ShardDraw(0, 0, first=0, stop=3, buffer_size=2, shuffle=False, position=position)
        try:
            data[DrawnIndex(position, draw)]['video_reader'].close()
        except RuntimeError as error:
            assert 'samples in a row could not be used' in str(error), error
            raise


# --- features and results -------------------------------------------------------------------------

def _feature_seeds(folder: Path) -> list[Seed]:
    seeds = []
    said = dict(windows=[[[0.0, 4.0], [2.0, 6.5]], [[0.0, 1.0]]], texts=[['a dog', 'runs'], ['b']],
                stamps={'a.mp4': [7, 8], 'b.mp4': [9, 10]})
    for ending, rows, more in (('npy', 2, {}), ('safetensors', 2, {}), ('parquet', 2, {}),
                               ('npy', 3, said)):
        store = FeatureStore(folder / f'{ending}_{rows}', ending)
        with store.locked():
            store.begin(_META)
            store.write_part(0, ['a.mp4', 'b.mp4'], np.eye(rows, 4), [], **more)
            store.finish(['a.mp4', 'b.mp4'])
        seeds.append(Seed(_files(store.folder)))
    return seeds


def _read_features(work: Path) -> None:
    found = load_features(work)
    assert len(found.videos) == len(found.features) and np.isfinite(found.features).all()
    assert found.spans is None or len(found.spans) == len(found.videos)
    if found.videos:
        try:
            Searcher(found, found if found.texts else None).search(found.features[0], 3)
        except ValueError as error:  # products of finite numbers may be none; it has no file
            assert 'hold NaN or infinity' in str(error), error
        find_duplicates(found)


def _part_seeds(folder: Path) -> list[Seed]:
    return [Seed({name: content for name, content in seed.files.items() if name.endswith('.json')})
            for seed in _feature_seeds(folder)[::3]]


def _finish_parts(work: Path) -> None:
    """What a run does that goes on."""
    store = FeatureStore(work)
    with store.locked():
        store.begin(_META)
        store.done()
        try:
            store.finish(['a.mp4', 'b.mp4'])
        except RuntimeError as error:
            if 'videos are in no part' not in str(error):
                raise


def _cache_seeds(folder: Path) -> list[Seed]:
    write_cache(folder / 'c.npz', FeatureCache(
        embeds=dict(train=np.ones((2, 3), np.float16), test=np.ones((1, 3), np.float16)),
        tokens=dict(train=np.ones((2, 2, 3), np.float16), test=np.ones((1, 2, 3), np.float16)),
        labels=dict(train=np.array([0, 1]), test=np.array([1])),
        names=dict(train=np.array(['a', 'b']), test=np.array(['c'])),
        fields=dict(splits=dict(train={}, test={}))))
    return [Seed({'c.npz': (folder / 'c.npz').read_bytes()})]


def _read_cache(work: Path) -> None:
    read_cache(work / 'c.npz')


def _result_seeds(folder: Path) -> list[Seed]:
    write_result(folder / 'r.json', dict(
        protocol='zero-shot', benchmark='msrvtt', model='x', metrics=dict(
            raw={'t2v/R1': 12.5}, dsl={'t2v/R1': 13.0}),
        intervals=dict(raw={'t2v/R1': [11.0, 14.0]}), chance=dict(raw={'t2v/R1': 0.1}),
        views=dict(frames=12, frames_shown='natural', clips=1, crops=1), split=dict(
            annotated=10, used=9, missing=1, failed=0, file='a.jsonl', sha256='0' * 64),
        checkpoint=dict(path='a.pth', sha256='1' * 64, keys=None),
        config=dict(file='a.py', text='x = 1', sha256='2' * 64), versions=dict(torch='2.7')))
    result = (folder / 'r.json').read_bytes()
    return [Seed({'r.json': result}, {'other.json': result})]


def _compare_results(work: Path) -> None:
    """As tools/compare_results.py does it."""
    results, names = [], ['r.json', 'other.json']
    for name in names:
        results.append(read_result(work / name))
        for peers in (False, True):
            with one_error(f'{work / name} is no result file of this version'):
                compare(results[-1:], [name], peers=peers)
    compare(results, names)
    compare(results, names, peers=True)


def _progress_seeds(folder: Path) -> list[Seed]:
    """A conversion that was killed."""
    source = b'videoid,name,page_dir,duration\n1,A dog,x,PT1S\n2,A cat,x,PT2S\n3,,x,PT1S\n'
    line = b'{"path": "x/1.mp4", "captions": ["A dog"], "duration": 1.0}\n'
    progress = dict(source='', num_read=1, written_bytes=len(line), dropped_bytes=0)
    return [Seed({'out/a.jsonl.progress.json': json.dumps(progress).encode(),
                  'out/a.jsonl.part': line,
                  'out/a.jsonl.dropped.tsv': b'row 3\tit has no caption\n'}, {'a.csv': source})]


def _go_on(work: Path) -> None:
    fingerprint = report.fingerprint
    report.fingerprint = lambda *_: ''  # that of the seed: times of change are not part of it
    try:
        convert_webvid(work / 'a.csv', work / 'out/a.jsonl').summary()
    finally:
        report.fingerprint = fingerprint


TARGETS = [
    Target('shard_index', _index_seeds, _read_index, _USER),
    Target('shard_members', _tar_seeds, _read_tar, (*_USER, RuntimeError)),
    Target('features', _feature_seeds, _read_features, _USER),
    # What does not fit the run that goes on is told of the folder.
    Target('feature_parts', _part_seeds, _finish_parts, _USER, names=False),
    Target('probe_cache', _cache_seeds, _read_cache, _USER),
    Target('results', _result_seeds, _compare_results, _USER),
    Target('conversion_progress', _progress_seeds, _go_on, _USER),
]
