"""A disk that is full, read-only or gone, and a clock that is set back: told, or survived."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from tests.faults.record import record
from tests.helpers import warm_process
from tvtsv2_mm.apis.features.shards import FeatureStore
from tvtsv2_mm.apis.launch.runs import apply_resume, build_runner, plain_errors
from tvtsv2_mm.apis.pictures import write_png
from tvtsv2_mm.checkpoints.convert_checkpoint import write_weights
from tvtsv2_mm.checkpoints.sharded import save_sharded
from tvtsv2_mm.checkpoints.whole import check_whole, save_whole
from tvtsv2_mm.engine.hooks import CheckpointHook
from tvtsv2_mm.evaluation.probes.cache import FeatureCache, write_cache
from tvtsv2_mm.evaluation.results import write_result
from tvtsv2_mm.experiments.stages import Stages
from tvtsv2_mm.preparation.converters.report import convert
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.files import write_atomically

pytestmark = pytest.mark.faults

SIZE = 1 << 20
BIG = np.random.default_rng(0).random((400, 400), dtype=np.float32)  # 640 kB


class Disk:
    """A file system of 1 MB where one may be mounted, and limits for a process elsewhere."""

    def __init__(self, folder: Path, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted

    @contextmanager
    def full(self) -> Iterator[None]:
        """With less room than any of the writers here needs."""
        if self.mounted:
            filler = self.folder / 'filler'
            with suppress(OSError), open(filler, 'wb', buffering=0) as file:
                while file.write(b'x' * 4096):
                    pass
            os.truncate(filler, max(0, filler.stat().st_size - 8192))
            yield
            filler.unlink()
            return
        before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(
            signal.SIGXFSZ)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        if self.mounted:
            _mount('-o', 'remount,ro', self.folder)
            yield
            _mount('-o', 'remount,rw', self.folder)
        else:
            subprocess.run(['chmod', '-R', 'a-w', str(self.folder)], check=True)
            yield
            subprocess.run(['chmod', '-R', 'u+w', str(self.folder)], check=True)


def _mount(*words: Any) -> bool:
    return subprocess.run(['mount', *map(str, words)], check=False,
                          capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / 'disk'
    folder.mkdir()
    mounted = os.geteuid() == 0 and _mount('-t', 'tmpfs', '-o', f'size={SIZE}', 'tmpfs', folder)
    yield Disk(folder, mounted)
    if mounted:
        subprocess.run(['umount', '-l', str(folder)], check=True)


def _stage(folder: Path) -> None:
    Stages(folder, total=1, title='x').run('one', dict(a=1), lambda _: dict(b=BIG[0].tolist() * 9))


def _lines(folder: Path) -> None:
    records = ((str(i), dict(path=f'{i}.mp4', captions=['x' * 99])) for i in range(3000))
    convert(records, dict, folder / 'a.jsonl', check=lambda record: None, source='s')


# What each writes, and how.
WRITERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    'checkpoint': ('epoch_1.pth', lambda folder: save_whole(
        dict(state_dict=dict(a=torch.from_numpy(BIG))), folder / 'epoch_1.pth')),
    'sharded checkpoint': ('epoch_1.pth', lambda folder: save_sharded(
        folder / 'epoch_1.pth', dict(state_dict=dict(a=torch.from_numpy(BIG))), {})),
    'safetensors': ('w.safetensors', lambda folder: write_weights(
        dict(a=torch.from_numpy(BIG)), folder / 'w.safetensors', {})),
    'weights': ('w.pth', lambda folder: write_weights(
        dict(a=torch.from_numpy(BIG)), folder / 'w.pth', {})),
    'features': ('parts/00000000.npy', lambda folder: FeatureStore(folder).write_part(
        0, ['a'] * 400, BIG, [])),
    'features, safetensors': ('parts/00000000.safetensors', lambda folder: FeatureStore(
        folder, 'safetensors').write_part(0, ['a'] * 400, BIG, [])),
    'cache of a probe': ('c.npz', lambda folder: write_cache(folder / 'c.npz', FeatureCache(
        embeds=dict(train=BIG), labels=dict(train=np.zeros(400, int))))),
    'result file': ('result.json', lambda folder: write_result(
        folder / 'result.json', dict(a=BIG[0].tolist() * 9))),
    'stamp of a stage': ('one/done.json', _stage),
    'annotations': ('a.jsonl', _lines),
    'picture': ('p.png', lambda folder: write_png(folder / 'p.png', (255 * np.dstack(
        [BIG, BIG.T, 1 - BIG])).astype(np.uint8))),
    'text': ('t.json', lambda folder: write_atomically(
        folder / 't.json', json.dumps(BIG[:80].tolist()).encode())),
}


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob('*')
            if path.is_file() and path.name not in ('filler', '.lock')}


@pytest.mark.parametrize('fault', ['full', 'read_only'])
def test_everything_that_is_written_is_whole_or_told(disk, fault):
    if fault == 'read_only' and not disk.mounted and os.geteuid() == 0:
        pytest.skip('root may write to any folder')
    counts = dict(injected=0, refused=0, lost=0)
    failures = []
    for name, (file, write) in WRITERS.items():
        folder = disk.folder / name.replace(' ', '-')
        (folder / file).parent.mkdir(parents=True)
        counts['injected'] += 1
        with getattr(disk, fault)():
            try:
                write(folder)
            except UserFileError as error:
                told = str(error)
            except Exception as error:
                told = f'{type(error)}: {error}'
            else:
                told = 'nothing'
            left = _names(folder)
        wanted = f'{folder / file} could not be written: '
        # A run that goes on from its parts keeps them.
        kept = {'a.jsonl.part', 'a.jsonl.dropped.tsv'} if name == 'annotations' else set()
        hidden = {one for one in left if any(part.startswith('.') for part in Path(one).parts)}
        if name == 'sharded checkpoint':  # which the next attempt takes away
            left, hidden = left - hidden, set()
        if told.startswith(wanted) and '\n' not in told and left - kept <= hidden == set():
            counts['refused'] += 1
        else:
            counts['lost'] += 1
            failures.append(f'{name}: {told}; left {left}')
        write(folder)  # with room again
        assert (folder / file).exists(), name
        subprocess.run(['rm', '-rf', str(folder)], check=True)
    assert not failures, '\n'.join(failures)
    record('storage', dict(full='a full disk', read_only='a disk that is read-only')[fault],
           **counts)


def _train(folder: Path, epochs: int, told: Path, fault: Callable[[Path], Any] = str) -> None:
    os.chdir(Path(__file__).parents[2])
    fault(folder)
    torch.set_num_threads(1)
    cfg = Config.fromfile('tests/test_tools/toy_config.py')
    cfg.merge_from_dict(dict(
        work_dir=str(folder), train_cfg=dict(max_epochs=epochs), custom_hooks=[
            dict(type='ResumeDataHook')]))
    apply_resume(cfg, 'auto')
    try:
        with plain_errors():
            build_runner(cfg).train()
    except SystemExit as error:
        told.write_text(str(error))
        raise


def _set_clock_back(_: Path) -> None:
    now = time.time
    time.time = lambda: now() - 4e7


def _let_folder_vanish(folder: Path) -> None:
    save = CheckpointHook.after_train_epoch

    def save_and_vanish(hook: Any, run: Any) -> None:
        save(hook, run)
        if run.epoch == 1:
            shutil.rmtree(folder)

    CheckpointHook.after_train_epoch = save_and_vanish


def _run(*args: Any) -> int:
    process = warm_process(_train, args=args)
    process.start()
    process.join()
    return process.exitcode


def test_training_on_a_full_disk_keeps_the_last_checkpoint(disk, tmp_path):
    """The log has room; checkpoint 3 has none."""
    if not disk.mounted:
        pytest.skip('no file system can be mounted here')
    folder, told = disk.folder / 'run', tmp_path / 'told.txt'
    assert _run(folder, 2, told) == 0
    size = (folder / 'epoch_2.pth').stat().st_size
    free = os.statvfs(folder).f_bavail * 4096
    (disk.folder / 'filler').write_bytes(b'x' * (free - 40960 - size // 2))
    code = _run(folder, 60, told)
    assert code == 1
    assert 'No space left on device' in told.read_text()
    assert len(told.read_text().splitlines()) == 1
    last = Path((folder / 'last_checkpoint').read_text())
    for path in folder.glob('epoch_*.pth'):
        check_whole(path)
    assert last.is_file()
    (disk.folder / 'filler').unlink()
    subprocess.run(['rm', '-rf', *map(str, folder.glob('20*'))], check=True)
    epoch = int(last.stem.split('_')[1])
    assert _run(folder, epoch + 1, told) == 0
    assert (folder / f'epoch_{epoch + 1}.pth').is_file()
    record('storage', 'a disk that gets full during training', injected=1, survived=1)


def test_a_clock_that_is_set_back_by_a_year(tmp_path):
    """The later files have the earlier times, and so have the names of the log's folders."""
    folder, told = tmp_path / 'run', tmp_path / 'told.txt'
    assert _run(folder, 2, told) == 0
    assert _run(folder, 4, told, _set_clock_back) == 0
    assert Path((folder / 'last_checkpoint').read_text()).name == 'epoch_4.pth'
    first, second = (path.read_text() for path in sorted(folder.glob('20*/20*.log'), reverse=True))
    assert 'resumed epoch: 2' in second and 'resumed epoch' not in first
    record('storage', 'a clock that is set back between two runs', injected=1, survived=1)


def test_a_work_folder_that_vanishes(tmp_path):
    """The log is what misses it first."""
    folder, told = tmp_path / 'run', tmp_path / 'told.txt'
    assert _run(folder, 3, told, _let_folder_vanish) == 1
    assert str(folder) in told.read_text() and len(told.read_text().splitlines()) == 1
    assert _run(folder, 3, told) == 0
    record('storage', 'a work folder that is removed during training', injected=1, refused=1)
