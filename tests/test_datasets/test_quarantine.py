import json
import multiprocessing
import resource

import numpy as np
import pytest

from tvtsv2_mm.datasets import CaptionVideoDataset
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.quarantine import Quarantine
from tvtsv2_mm.video.errors import DecodingTimeoutError, MissingVideoError, UnreadableVideoError


def read(path):
    return [json.loads(line) for line in path.read_text('utf-8').splitlines()]


def note_many(file, start):
    quarantine = Quarantine(file)
    for i in range(start, start + 200):
        quarantine.note(UnreadableVideoError(f'{i}/{"long name " * 30}.mp4', 'its stream is bad'))


def test_what_is_noted_is_refused_here_and_in_later_runs(tmp_path):
    file = tmp_path / 'bad.jsonl'
    quarantine = Quarantine(str(file))
    quarantine.check('bäd.mp4')
    quarantine.note(UnreadableVideoError('bäd.mp4', 'the file is empty'))
    quarantine.note(DecodingTimeoutError('slow.mp4', 60))
    for later in (quarantine, Quarantine(str(file))):
        with pytest.raises(UnreadableVideoError, match='in quarantine: the file is empty'):
            later.check('bäd.mp4')
        later.check('good.mp4')
        assert len(later) == 2
    assert read(file)[0] == dict(path='bäd.mp4', reason='the file is empty')


def test_a_full_disk_leaves_no_half_line(tmp_path):
    """To which the next entry would be written; nothing ends for a list of bad files."""
    file = tmp_path / 'bad.jsonl'
    quarantine = Quarantine(str(file))
    quarantine.note(UnreadableVideoError('a.mp4', 'the file is empty'))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, hard))
    try:
        quarantine.note(UnreadableVideoError('b.mp4', 'the file is empty'))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [entry['path'] for entry in read(file)] == ['a.mp4']
    quarantine.note(UnreadableVideoError('b.mp4', 'the file is empty'))
    assert [entry['path'] for entry in read(file)] == ['a.mp4', 'b.mp4']
    assert len(Quarantine(str(file))) == 2


def test_only_files_that_are_at_fault(tmp_path):
    quarantine = Quarantine(str(tmp_path / 'bad.jsonl'))
    quarantine.note(UnusableSampleError('short.mp4', 'too short'))
    quarantine.note(MissingVideoError('missing.mp4', 'there is no such file'))
    assert not (tmp_path / 'bad.jsonl').exists()


def test_a_file_is_written_once(tmp_path):
    file = tmp_path / 'bad.jsonl'
    first, second = Quarantine(str(file)), Quarantine(str(file))
    for quarantine in (first, second, first):
        quarantine.note(UnreadableVideoError('a.mp4', 'the file is empty'))
    assert len(read(file)) == 1


def test_many_processes_write_whole_lines(tmp_path):
    file = tmp_path / 'bad.jsonl'
    workers = [multiprocessing.get_context('fork').Process(
        target=note_many, args=(str(file), 1000 * k)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({entry['path'] for entry in read(file)}) == 800
    assert len(Quarantine(str(file))) == 800


@pytest.mark.parametrize('line', ['b.mp4', '[' * 100_000, '{"path": [], "reason": 1}'])
def test_a_line_that_is_no_entry(tmp_path, line):
    file = tmp_path / 'bad.jsonl'
    file.write_text(f'{{"path": "a.mp4", "reason": "empty"}}\n{line}\n')
    with pytest.raises(ValueError, match=r'bad\.jsonl, line 2: not an entry of a quarantine list'):
        Quarantine(str(file))


def test_a_line_that_is_being_written_is_read_later(tmp_path):
    file = tmp_path / 'bad.jsonl'
    file.write_text('{"path": "a.mp4", "rea')
    quarantine = Quarantine(str(file))
    assert len(quarantine) == 0
    file.write_text('{"path": "a.mp4", "reason": "empty"}\n')
    with pytest.raises(UnreadableVideoError, match='in quarantine: empty'):
        quarantine.check('a.mp4')


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / 'captions.jsonl'
    path.write_text('\n'.join(
        json.dumps({'path': f'{i}.mp4', 'captions': ['one']}) for i in range(3)))
    return str(path)


def test_a_data_set_skips_at_once_and_says_so(captions, tmp_path):
    tried = []

    def decode(results):
        tried.append(results['filename'])
        results['rng'].random()
        if results['filename'] == '1.mp4':
            raise UnreadableVideoError('1.mp4', 'its stream is damaged')
        return results

    options = dict(pipeline=[decode], quarantine=str(tmp_path / 'bad.jsonl'))
    np.random.seed(0)
    first = CaptionVideoDataset(captions, **options)[1]
    assert first['skipped'][0] == dict(path='1.mp4', reason='its stream is damaged')
    assert tried.count('1.mp4') >= 1
    tried.clear()
    np.random.seed(0)
    later = CaptionVideoDataset(captions, **options)[1]
    assert later['skipped'][0] == dict(
        path='1.mp4', reason='in quarantine: its stream is damaged')
    assert '1.mp4' not in tried
    assert later['sample_id'] == first['sample_id']
    assert read(tmp_path / 'bad.jsonl') == [dict(path='1.mp4', reason='its stream is damaged')]


def test_not_in_test_mode(captions):
    with pytest.raises(ValueError, match='quarantine is for training'):
        CaptionVideoDataset(captions, pipeline=[], test_mode=True, quarantine='bad.jsonl')
