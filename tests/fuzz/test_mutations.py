"""The watch itself: cases are the same everywhere, and what a target must not do is seen."""

import io
import json
import os
import pickle
import socket
import subprocess
import tarfile
import time
import zipfile
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.cases import Seed, Target, case_of, run_cases
from tests.fuzz.mutations import mutate


def _seed(_: Path, content: bytes = b'{"a": [1, 2, {"b": "text"}]}') -> list[Seed]:
    return [Seed({'a.json': content})]


def _do(work: Path, what: str) -> None:
    if (work / 'a.json').read_bytes() == _seed(work)[0].files['a.json']:
        return  # as a seed
    if what == 'raw':
        raise KeyError('a')
    if what == 'unnamed':
        raise ValueError('something is wrong')
    if what == 'named':
        raise ValueError('a.json is wrong')
    if what == 'elsewhere':
        (work.parent / 'escaped').write_bytes(b'')
    if what == 'run':
        subprocess.run(['true'], check=False)
    if what == 'exec':
        exec('1')
    if what == 'pickle':
        pickle.loads(b'cos\ngetcwd\n.')
    if what == 'fetch':
        with socket.socket() as own:
            own.settimeout(1)
            own.connect_ex(('127.0.0.1', 1))
    if what == 'memory':
        bytearray(700 * 2**20)[::4096] = b'x' * (700 * 256)
    if what == 'crash':
        os.kill(os.getpid(), 11)
    if what == 'hang':
        while True:
            time.process_time()


@pytest.mark.parametrize(('what', 'found'), [
    ('raw', 'KeyError'), ('unnamed', 'the file is not named'), ('elsewhere', 'outside its folder'),
    ('run', 'subprocess.Popen'), ('exec', 'exec'), ('pickle', 'pickle.find_class os.getcwd'),
    ('fetch', 'socket.connect'), ('memory', 'MB more are resident'), ('crash', 'ends (-11)'),
    ('hang', 'hang')])
def test_what_a_target_must_not_do_is_seen(tmp_path, what, found):
    target = Target(f'own_{what}', _seed, partial(_do, what=what), (ValueError, ),
                    deadline=1 if what == 'hang' else 10)
    outcome = run_cases(target, tmp_path, range(2))
    assert outcome.injected == 2
    assert [key for key in outcome.findings if found in key], outcome


def test_what_is_documented_is_no_finding(tmp_path):
    outcome = run_cases(Target('own', _seed, partial(_do, what='named'), (ValueError, )), tmp_path,
                        range(20))
    assert not outcome.findings and outcome.refused > 15
    assert (outcome.injected, outcome.read + outcome.refused, outcome.contained) == (20, 20, 0)


def test_a_case_is_known_by_its_number():
    target = Target('own', _seed, print, (ValueError, ))
    cases = [case_of(target, _seed(Path()), number)[1] for number in range(50)]
    assert cases == [case_of(target, _seed(Path()), number)[1] for number in range(50)]
    assert len({str(case) for case in cases}) > 40


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('w/data.pkl', pickle.dumps(dict(a=1)))
        archive.writestr('w/data/0', b'x' * 100)
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as tar:
        for name in ('a.json', 'a.mp4'):
            info = tarfile.TarInfo(name)
            info.size = 30
            tar.addfile(info, io.BytesIO(b'{"path": "a.mp4", "n": 123456}'))
    return file.getvalue()


def _opens_zip(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None


def _opens_tar(content: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert len(tar.getmembers()) > 0


@pytest.mark.parametrize(('content', 'opens'), [
    (_zip(), _opens_zip), (_tar(), _opens_tar), (json.dumps([dict(a=1, b=[2, 'x'])]).encode(),
                                                 json.loads)])
def test_many_cases_reach_what_is_inside(content, opens):
    """A container that is damaged outside hides what reads its members."""
    whole = 0
    for number in range(200):
        [changed] = mutate({'a': content}, Random(number)).values()
        try:
            opens(changed)
            whole += changed != content
        except Exception:
            pass
    assert whole > 60
