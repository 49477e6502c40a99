"""Bits that flip and ends that are cut off in checkpoints: told, or without any effect."""

import random
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.faults.record import cases, record
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.files import load_from_disk
from tvtsv2_mm.checkpoints.sharded import save_sharded
from tvtsv2_mm.checkpoints.untrusted import load_torch_file
from tvtsv2_mm.checkpoints.whole import check_whole, save_whole

pytestmark = pytest.mark.faults

WEIGHTS = {'a': torch.randn(300, 7), 'b.c': torch.ones(50, dtype=torch.bfloat16),
           'n': torch.tensor(3)}
MOMENTS = dict(exp_avg=torch.randn(300, 7))


@pytest.fixture(params=['file', 'folder of shards'])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, list[Path]]:
    path, meta = tmp_path / 'epoch_1.pth', dict(epoch=1, iter=4, seed=3)
    if request.param == 'file':
        save_whole(dict(meta=meta, state_dict=WEIGHTS, optimizer=dict(state={0: MOMENTS})), path)
        return request.param, path, [path]
    save_sharded(path, dict(state_dict=WEIGHTS, optimizer=dict(a=MOMENTS)), dict(meta=meta))
    return request.param, path, sorted(path.iterdir())


def content_of(path):
    if path.is_file():
        return load_torch_file(path)
    return load_from_disk(path)


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(
            one, other)
    if isinstance(one, dict):
        return [*one] == [*other] and all(equal(one[key], other[key]) for key in one)
    return one == other


def test_no_changed_bit_and_no_cut_is_overlooked(saved):
    """What is told to be whole gives what was saved, to the bit."""
    kind, path, files = saved
    expected, draw = content_of(path), random.Random(1)
    counts = dict(injected=0, survived=0, refused=0, lost=0)
    for _ in range(cases(40, 200)):
        file = draw.choice(files)
        whole = file.read_bytes()
        place = draw.randrange(len(whole))
        if draw.random() < 0.2:
            file.write_bytes(whole[:place])
        else:
            changed = bytearray(whole)
            changed[place] ^= 1 << draw.randrange(8)
            file.write_bytes(changed)
        counts['injected'] += 1
        try:
            check_whole(path)
        except CheckpointError as error:
            assert str(path) in str(error)
            counts['refused'] += 1
        else:  # what no reader looks at
            found = None
            with suppress(CheckpointError):
                found = content_of(path)
            counts['survived' if equal(found, expected) else 'lost'] += 1
        file.write_bytes(whole)
    record('checkpoints', f'a bit flipped, or the end cut off, in a {kind}', **counts)
    assert counts['refused'] > counts['survived']


