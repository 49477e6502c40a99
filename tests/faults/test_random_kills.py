"""Work is killed at random moments, and the same command goes on to the same end."""

import json
import os
import random
import runpy
import shutil
import signal
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

import av
import pytest
import torch
from mmengine.config import Config

from tests.faults.record import ONLY_LONG, cases, record
from tests.faults.trainings import ROOT, Training, assert_same, wait
from tests.helpers import warm_process
from tests.tiny_model import save_tiny_checkpoint
from tvtsv2_mm.apis.features import load_features
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.preparation.shards import ShardConfig, make_shards

pytestmark = pytest.mark.faults

RECIPE = ROOT / 'configs/tvtsv2/tiny_pretrain.py'
SHARDED = ROOT / 'configs/_base_/strategies/fully_shard.py'
KINDS = ('transcripts', 'captions')
DDP = dict(type='MMDistributedDataParallel', device_ids=None)
_IN_A_ROW = 4  # kills of one run


class Job(Protocol):
    """What is killed."""

    def start(self, folder: Path) -> list[Any]:
        """Start its processes."""

    def told(self, folder: Path) -> str:
        """What they said."""

    def result(self, folder: Path) -> dict[str, Any]:
        """What is to be the same."""

    def check_folder(self, folder: Path, is_ended: bool) -> None:
        """Fail if something half-written passes for whole."""


@dataclass(frozen=True)
class Tool:
    """A program of the project that goes on where it was killed."""

    program: str
    words: list[str]  # 'OUT' is the folder for its output
    read: Callable[[Path], dict[str, Any]]

    def start(self, folder: Path) -> list[Any]:
        folder.mkdir(exist_ok=True)
        process = warm_process(_call, args=(
            self.program, [str(folder / 'out') if word == 'OUT' else word for word in self.words],
            folder / 'told.txt'))
        process.start()
        return [process]

    def told(self, folder: Path) -> str:
        return (folder / 'told.txt').read_text()

    def result(self, folder: Path) -> dict[str, Any]:
        return self.read(folder / 'out')

    def check_folder(self, folder: Path, is_ended: bool) -> None:
        drafts = [path for path in folder.rglob('.*') if path.name != '.lock']
        assert not is_ended or not drafts, drafts


def _call(program: str, words: list[str], told: Path) -> None:
    os.chdir(ROOT)
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = told.open('a')
    sys.argv = [program, *words]
    runpy.run_path(program, run_name='__main__')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some narrated shapes, and shards of them."""
    folder = tmp_path_factory.mktemp('shapes')
    build_narrated_shapes(folder, NarratedShapesOptions(
        transcript_videos=(24, 4), clip_rounds=(1, 1), order_clips=(0, 0), num_events=(4, 4)))
    for kind in KINDS:
        make_shards(ShardConfig(
            ann_file=str(folder / f'annotations/{kind}_train.jsonl'),
            videos=str(folder / 'videos'), part_size=8), str(folder / kind), show_progress=False)
    return folder


def _recipe(data: Path) -> Config:
    """Two short epochs of tiny pre-training, saved every three steps."""
    cfg = Config.fromfile(RECIPE)
    cfg.randomness = dict(seed=3)
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=3, max_keep_ckpts=2)
    cfg.param_scheduler[0].end, cfg.param_scheduler[1].milestones = 5, [1]
    cfg.train_dataloader.batch_size = cfg.val_dataloader.batch_size = 4
    for repeated in cfg.train_dataloader.dataset.datasets:
        repeated.times = 1
    for dataset in (cfg.val_dataloader.dataset, *(
            repeated.dataset for repeated in cfg.train_dataloader.dataset.datasets)):
        dataset.data_root = str(data)
    return cfg


def _transcripts_alone(cfg: Config, data: Path) -> None:
    cfg.train_dataloader.pop('batch_sampler')
    cfg.train_dataloader.sampler.type = 'SeededSampler'
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.datasets[0].dataset


def _two_ranks(cfg: Config, data: Path) -> None:
    _transcripts_alone(cfg, data)
    cfg.model_wrapper_cfg = DDP


def _shards_as_data(cfg: Config, data: Path) -> None:
    """Read by two workers."""
    cfg.train_dataloader.update(num_workers=2, batch_sampler=dict(
        type='ShardBatchSampler', ratios=(2, 1), num_streams=2, shuffle_buffer=10))
    cfg.train_dataloader.dataset.datasets = [
        dict(type=f'Sharded{kind}Dataset', index=str(data / name / 'index.json'),
             pipeline=repeated.dataset.pipeline)
        for kind, name, repeated in zip(('Transcript', 'Caption'), KINDS,
                                        cfg.train_dataloader.dataset.datasets, strict=True)]


def _sharded(cfg: Config, data: Path) -> None:
    strategy = Config.fromfile(SHARDED).to_dict()
    strategy['strategy']['mixed_precision'] = dict(param_dtype='float32')
    cfg.merge_from_dict(strategy)


def _amp(cfg: Config, data: Path) -> None:
    cfg.optim_wrapper.update(type='BFloat16OptimWrapper')


def _averages(cfg: Config, data: Path) -> None:
    cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.1))


def _as_it_is(cfg: Config, data: Path) -> None:
    """It has the sampler that takes turns."""


def _all_at_once(cfg: Config, data: Path) -> None:
    _shards_as_data(cfg, data)
    _averages(cfg, data)
    _amp(cfg, data)
    cfg.model_wrapper_cfg = DDP


# What it is; ranks; what is changed in the recipe. The first is part of every run of the tests.
TRAININGS: dict[str, tuple[int, Callable[[Config, Path], None]]] = {
    'pre-training from shards, two ranks, bfloat16, averaged weights': (2, _all_at_once),
    'pre-training, one rank': (1, _transcripts_alone),
    'pre-training, two ranks': (2, _two_ranks),
    'pre-training, FullyShardStrategy, two ranks': (2, _sharded),
    'pre-training from shards, two workers': (1, _shards_as_data),
    'pre-training, bfloat16': (1, _amp),
    'pre-training, averaged weights': (1, _averages),
    'pre-training, AlternatingBatchSampler': (1, _as_it_is),
}


def _number_of_frames(video: IO[bytes]) -> int:
    with av.open(video) as container:
        return sum(1 for _ in container.decode(video=0))


def _extraction(data: Path) -> Tool:
    weights = save_tiny_checkpoint(data / 'tiny.pth')

    def read(out: Path) -> dict[str, Any]:
        found = load_features(out)
        return dict(features=torch.from_numpy(found.features), videos=found.videos,
                    failed=[failure.video for failure in found.failed])

    return Tool('tools/extract_features.py', [
        str(data / 'videos'), 'OUT', '-C', str(weights), '--device', 'cpu', '--part-size', '8',
        '--num-workers', '1'], read)


def _making_shards(data: Path) -> Tool:
    """With pictures made smaller; x264 with AVX-512 does not write the same bytes twice."""
    def read(out: Path) -> dict[str, Any]:
        found: dict[str, Any] = dict(index=json.loads((out / 'index.json').read_text()))
        for path in (out / 'parts').glob('*.tar'):
            with tarfile.open(path) as tar:
                for name in tar.getnames():
                    file = tar.extractfile(name)
                    assert file is not None
                    found[f'{path.name}/{name}'] = file.read() if name.endswith(
                        '.json') else _number_of_frames(file)
        return found

    return Tool('tools/data/make_shards.py', [
        str(data / 'annotations/captions_train.jsonl'), 'OUT', '--videos', str(data / 'videos'),
        '--part-size', '8', '--workers', '2', '--encode', '--short-side', '48'], read)


TOOLS = {'extraction of features': _extraction, 'making of shards': _making_shards}


def _job(name: str, data: Path) -> Job:
    if name in TOOLS:
        return TOOLS[name](data)
    ranks, change = TRAININGS[name]
    cfg = _recipe(data)
    change(cfg, data)
    path = data / f'{name.replace(" ", "_")}.py'
    cfg.dump(path)
    return Training(str(path), ranks)


def _end(job: Job, folder: Path) -> None:
    assert not any(wait(job.start(folder))), job.told(folder)[-2000:]
    job.check_folder(folder, is_ended=True)


def _kill(job: Job, folder: Path, moments: list[float]) -> int:
    """Kill a job at moments after its starts, then let it end.

    Returns:
        How many moments found it at work.
    """
    found = 0
    for moment in moments:
        processes = job.start(folder)
        victim = found % len(processes)
        codes = wait(processes, moment, victim)
        if not any(codes):  # it was quicker this time
            job.check_folder(folder, is_ended=True)
            return found
        assert codes[victim] == -signal.SIGKILL, job.told(folder)[-2000:]
        job.check_folder(folder, is_ended=False)
        found += 1
    _end(job, folder)
    return found


def test_the_same_seed_gives_the_same_result(data, tmp_path):
    """With the same number of threads, to the bit."""
    job, results = _job('pre-training, AlternatingBatchSampler', data), []
    for number in range(2):
        own = replace(job, options=dict(randomness=dict(seed=3)))
        _end(own, tmp_path / str(number))
        results.append(own.result(tmp_path / str(number)))
    assert_same(results[1], results[0])
    assert len(set(results[0]['losses'].tolist())) > 4


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=[ONLY_LONG] if name in TRAININGS else [])
    for name in (*TRAININGS, *TOOLS)])
def test_killed_at_random_moments(name, data, tmp_path):
    job = _job(name, data)
    whole = tmp_path / 'whole'
    started = time.monotonic()
    _end(job, whole)
    seconds = time.monotonic() - started
    expected = job.result(whole)
    draw = random.Random(name)
    counts = dict(injected=0, survived=0, lost=0)
    wanted, failures = cases(1), []
    for number in range(3 * wanted):
        if counts['injected'] >= wanted:
            break
        cut = tmp_path / str(number)
        few = min(_IN_A_ROW, wanted - counts['injected'])
        try:
            found = _kill(job, cut, [draw.uniform(0, seconds) for _ in range(few)])
            assert_same(job.result(cut), expected)
            counts['survived'] += found
        except AssertionError as error:
            failures.append(f'{number}: {error}')
            found = few
            counts['lost'] += few
        counts['injected'] += found
        shutil.rmtree(cut)
    assert not failures, '\n'.join(failures)
    record('kills', name, **counts)
