import json
import shutil
import tarfile

import pytest

from tests.helpers import run_killed_at_write
from tests.tiny_model import NAMES, VIDEOS
from tvtsv2_mm.datasets.shards.index import load_index
from tvtsv2_mm.preparation.shards import ShardConfig, make_shards
from tvtsv2_mm.preparation.shards.cutting import CutConfig
from tvtsv2_mm.preparation.shards.encoding import EncodingConfig
from tvtsv2_mm.video.opening import open_video

CUTTING = CutConfig(max_gap=1.0, margin=0.1, min_seconds=0.5, max_seconds=1.0)


@pytest.fixture
def corpus(tmp_path):
    """Ten records of four videos, one broken and one missing file; returns the config."""
    folder = tmp_path / 'videos'
    shutil.copytree(VIDEOS, folder)
    (folder / 'broken.mp4').write_text('no video')
    records = []
    for number, name in enumerate([*NAMES, *NAMES, 'broken.mp4', 'missing.mp4']):
        duration = open_video(str(folder / name)).duration if name in NAMES else 10.0
        words = [[f'w{i}', i * duration / 20, (i + 0.8) * duration / 20] for i in range(20)]
        records.append(dict(path=name, duration=duration, words=words, id=f'{name}-{number}'))
    (tmp_path / 'train.jsonl').write_text('\n'.join(map(json.dumps, records)))
    return dict(ann_file=str(tmp_path / 'train.jsonl'), videos=str(folder), part_size=3)


def samples_of(folder):
    """Record and video of each sample, by the index."""
    index = load_index(f'{folder}/index.json')
    found = []
    for shard, count in enumerate(index.counts):
        with tarfile.open(index.url(shard)) as tar:
            names = tar.getnames()
            assert len(names) == 2 * count
            contents = [tar.extractfile(name).read() for name in names]
        for video, text in zip(contents[::2], contents[1::2], strict=True):
            found.append((json.loads(text), video))
    return found


def contents_of(folder):
    return {path.name: path.read_bytes() for path in (folder / 'parts').iterdir()}


def failed_in(folder):
    return {line['video']: line['reason'] for line in map(
        json.loads, (folder / 'failed.jsonl').read_text().splitlines())}


def check_failed(folder):
    failed = failed_in(folder)
    assert set(failed) == {'broken.mp4-8', 'missing.mp4-9'}
    assert failed['missing.mp4-9'] == 'there is no such file'
    assert 'cannot be opened' in failed['broken.mp4-8']


def test_videos_as_they_are(corpus, tmp_path):
    out = tmp_path / 'out'
    summary = make_shards(ShardConfig(**corpus), str(out), show_progress=False)
    assert (summary.samples, summary.failed, summary.dropped) == (8, 2, 0)
    found = samples_of(out)
    assert sorted(record['id'] for record, _ in found) == sorted(
        f'{name}-{i}' for i, name in enumerate([*NAMES, *NAMES]))
    for record, video in found:
        assert video == (VIDEOS / record['path']).read_bytes()
    check_failed(out)


def test_encoded(corpus, tmp_path):
    out = tmp_path / 'out'
    config = ShardConfig(**corpus, encoding=EncodingConfig(short_side=64), cutting=CUTTING)
    summary = make_shards(config, str(out), show_progress=False)
    assert summary.samples > 8
    assert summary.failed == 2
    for record, data in samples_of(out):
        reader = open_video('', data=data)
        assert min(reader.size) == 64
        assert reader.duration == pytest.approx(record['duration'], abs=0.05)
        start, end = record['meta']['cut']
        assert end - start == pytest.approx(record['duration'], abs=2e-3)
        source = open_video(str(VIDEOS / record['path'])).duration
        for text, a, b in record['words']:
            number = int(text[1:])
            middle = (number + 0.4) * source / 20 - start
            assert 0 <= a <= b <= record['duration']
            assert a <= middle + 1e-3
            assert middle - 1e-3 <= b
    check_failed(out)


def test_what_is_too_short_is_listed(corpus, tmp_path):
    config = ShardConfig(**corpus, encoding=EncodingConfig(),
                         cutting=CutConfig(min_seconds=500, max_seconds=1000))
    with pytest.raises(RuntimeError, match='not one sample'):
        make_shards(config, str(tmp_path / 'out'), show_progress=False)
    dropped = [json.loads(line) for line in
               (tmp_path / 'out' / 'dropped.jsonl').read_text().splitlines()]
    assert len(dropped) == 8
    assert dropped[0]['reason'] == 'its narrated part is shorter than 500 s'


def test_captions(tmp_path):
    records = [dict(path='part_0.mp4', captions=['x']),
               dict(path='part_0.mp4', captions=['y', 'z'], start=0.2, end=0.7)]
    (tmp_path / 'c.jsonl').write_text('\n'.join(map(json.dumps, records)))
    config = ShardConfig(ann_file=str(tmp_path / 'c.jsonl'), videos=str(VIDEOS),
                         encoding=EncodingConfig())
    make_shards(config, str(tmp_path / 'out'), show_progress=False)
    found = {record['captions'][0]: (record, open_video('', data=video).duration)
             for record, video in samples_of(tmp_path / 'out')}
    assert found['y'][1] == pytest.approx(0.5, abs=0.05)
    assert found['x'][1] == pytest.approx(open_video(str(VIDEOS / 'part_0.mp4')).duration, abs=0.05)
    assert 'start' not in found['y'][0]


@pytest.mark.parametrize('writes', [4, 5])
def test_a_kill_costs_one_shard(corpus, tmp_path, monkeypatch, writes):
    """Writes: meta, then tar and record of each part; killed in the second part."""
    out = tmp_path / 'out'
    run_killed_at_write(
        'from tvtsv2_mm.preparation.shards import ShardConfig, make_shards',
        'make_shards(ShardConfig(ann_file=sys.argv[1], videos=sys.argv[2], part_size=3), '
        'sys.argv[3], show_progress=False)',
        corpus['ann_file'], corpus['videos'], out, write=writes)
    assert not (out / 'index.json').exists()
    first = (out / 'parts' / '00000000.tar').stat()
    make_shards(ShardConfig(**corpus), str(out), show_progress=False)
    assert (out / 'parts' / '00000000.tar').stat().st_mtime_ns == first.st_mtime_ns
    make_shards(ShardConfig(**corpus), str(tmp_path / 'whole'), show_progress=False)
    assert contents_of(out) == contents_of(tmp_path / 'whole')
    check_failed(out)
    # All is there: nothing is read again.
    monkeypatch.setattr('tvtsv2_mm.preparation.shards.writing.ShardWorker._write',
                        lambda *_: pytest.fail('nothing was left to do'))
    assert make_shards(ShardConfig(**corpus), str(out), show_progress=False).samples == 8


def test_several_processes_write_the_same(corpus, tmp_path):
    make_shards(ShardConfig(**corpus), str(tmp_path / 'one'), show_progress=False)
    summary = make_shards(ShardConfig(**corpus), str(tmp_path / 'two'), num_processes=2,
                          show_progress=False)
    assert summary.samples == 8
    assert contents_of(tmp_path / 'one') == contents_of(tmp_path / 'two')


@pytest.mark.slow
def test_on_ray(corpus, tmp_path):
    pytest.importorskip('ray', reason='ray is not installed')
    make_shards(ShardConfig(**corpus), str(tmp_path / 'one'), show_progress=False)
    summary = make_shards(ShardConfig(**corpus), str(tmp_path / 'ray'), num_processes=2,
                          ray_address='local', show_progress=False)
    assert (summary.samples, summary.failed) == (8, 2)
    assert contents_of(tmp_path / 'one') == contents_of(tmp_path / 'ray')


def test_other_shards_in_the_folder(corpus, tmp_path):
    make_shards(ShardConfig(**corpus), str(tmp_path / 'out'), show_progress=False)
    with pytest.raises(ValueError, match='seed: 0 there, 1 now'):
        make_shards(ShardConfig(**corpus, seed=1), str(tmp_path / 'out'), show_progress=False)


def test_wrong_arguments(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder of videos'):
        ShardConfig(ann_file=corpus['ann_file'], videos=str(tmp_path / 'none'))
    with pytest.raises(FileNotFoundError, match='no annotation file'):
        make_shards(ShardConfig(ann_file='none.jsonl', videos=str(VIDEOS)), str(tmp_path / 'out'))
    with pytest.raises(ValueError, match='part_size'):
        ShardConfig(**corpus | dict(part_size=0))
