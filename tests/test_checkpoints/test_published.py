"""Weights by name, from a server on this machine that answers as Drive and the hub do."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from safetensors.torch import save

from tests.tiny_model import ROOT, save_tiny_checkpoint
from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model
from tvtsv2_mm.apis.launch.runs import check_checkpoint
from tvtsv2_mm.checkpoints import CheckpointError, published
from tvtsv2_mm.checkpoints.published import is_published, locate
from tvtsv2_mm.utils.errors import UnwritableError

NAME = 'tvtsv2-b16'
FILE = published.RELEASED[NAME].name
COMMIT = 'c' * 40


class Server:
    """What it serves, and what it was asked.

    Args:
        drive: the file that Drive has, whoever asks.
        hub: the files of the hub's repositories.
    """

    def __init__(self, drive: bytes = b'', hub: dict[str, dict[str, bytes]] | None = None) -> None:
        self.drive, self.hub = drive, hub or {}
        self.breaks_at: int | None = None  # bytes after which the connection is closed, once
        self.asked: list[str] = []

    def about(self, repository: str) -> dict:
        return dict(id=repository, modelId=repository, sha=COMMIT, siblings=[
            dict(rfilename=name, size=len(content), blobId='b' * 40, **(
                {} if name.endswith(('.json', '.txt')) else dict(lfs=dict(
                    sha256=hashlib.sha256(
                        b'other' if repository == 'me/changed' else content).hexdigest(),
                    size=len(content), pointerSize=134))))
            for name, content in self.hub[repository].items()])

    def tree(self, repository: str) -> list:
        return [dict(type='file', path=file['rfilename'], size=file['size'], oid='b' * 40, **(
            dict(lfs=dict(oid=file['lfs']['sha256'], size=file['size'], pointerSize=134))
            if 'lfs' in file else {})) for file in self.about(repository)['siblings']]


@contextmanager
def serving(server: Server) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, body: bool = True) -> None:
            path = unquote(urlsplit(self.path).path)
            server.asked.append(f'{self.command} {path} {self.headers.get("Range", "")}'.strip())
            if path == '/uc':
                return self.give(server.drive, body)
            repository = next((name for name in server.hub if f'/{name}' in path), None)
            if repository is None:
                return self.give(b'', body, status=404)
            if path.startswith('/api/'):
                told = server.tree if '/tree/' in path else server.about
                return self.give(json.dumps(told(repository)).encode(), body, 'application/json')
            return self.give(server.hub[repository][path.partition(f'/{COMMIT}/')[2]], body)

        def give(self, content: bytes, body: bool, kind: str = 'application/octet-stream',
                 status: int = 200) -> None:
            start = int(re.findall(r'\d+', self.headers.get('Range', '0'))[0])
            self.send_response(206 if 'Range' in self.headers else status)
            self.send_header('Content-Type', kind)
            self.send_header('Content-Length', str(len(content) - start))
            self.send_header('Accept-Ranges', 'bytes')
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
            self.send_header('ETag', f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header('X-Repo-Commit', COMMIT)
            self.end_headers()
            if body and server.breaks_at and kind != 'application/json':
                content, server.breaks_at = content[:server.breaks_at], None
                self.close_connection = True
            if body:
                self.wfile.write(content[start:])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as http:
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{http.server_port}'
        http.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(published.CACHE, str(tmp_path / 'cache'))
    monkeypatch.delenv('HF_ENDPOINT', raising=False)
    return tmp_path / 'cache'


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """Drive, with a tiny model under every name."""
    server = Server(save_tiny_checkpoint(tmp_path / 'tiny.pth').read_bytes())
    with serving(server) as address:
        monkeypatch.setattr(published, '_DRIVE', f'{address}/uc?id=')
        yield server


def test_a_released_file_is_fetched_once(drive, cache):
    path = locate(NAME)
    assert path == str(cache / NAME / FILE)
    assert Path(path).read_bytes() == drive.drive
    record = json.loads((cache / NAME / 'fetched.json').read_text())
    assert record[FILE]['sha256'] == hashlib.sha256(drive.drive).hexdigest()
    num_asked = len(drive.asked)
    assert locate(NAME) == path == check_checkpoint(NAME)
    assert len(drive.asked) == num_asked
    assert locate(path) == path


def test_what_breaks_off_goes_on_where_it_was(drive, cache):
    drive.drive, drive.breaks_at = os.urandom(1_500_000), 700_000
    with pytest.raises(CheckpointError, match=r'tvtsv2-b16 could not be fetched .* By hand: '
                       r'https://drive\.google\.com/file/d/1HKc7.*/view to .*TVTSv2_ViT_B_16\.pth'):
        locate(NAME)
    assert Path(locate(NAME)).read_bytes() == drive.drive
    start, = re.findall(r'GET /uc bytes=(\d+)-', drive.asked[-1])
    assert 0 < int(start) <= 700_000


@pytest.mark.parametrize('damage', ['size', 'bytes', 'gone'])
def test_a_copy_that_was_changed_is_refused(damage, drive, cache):
    path = Path(locate(NAME))
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    if damage == 'gone':
        path.unlink()
        drive.drive = bytes(content)  # and another one is published by now
    else:
        path.write_bytes(content[:-1] if damage == 'size' else content)
    with pytest.raises(CheckpointError, match=r'is not what was fetched: .* Remove .*tvtsv2-b16, '):
        locate(NAME)


def test_a_copy_whose_time_alone_is_another_is_read_once_more(drive, monkeypatch):
    path = locate(NAME)
    os.utime(path, (1, 1))
    hashed, whole = [], published.file_sha256
    monkeypatch.setattr(published, 'file_sha256', lambda file: hashed.append(file) or whole(file))
    assert locate(NAME) == locate(NAME) == path
    assert hashed == [Path(path)]


def test_a_copy_where_nobody_can_write(drive, cache, monkeypatch):
    path = locate(NAME)
    (cache / NAME / '.lock').unlink()
    monkeypatch.setattr(os, 'access', lambda *_: False)
    assert locate(NAME) == path
    assert not (cache / NAME / '.lock').exists()
    monkeypatch.setenv(published.CACHE, path)  # a file
    with pytest.raises(UnwritableError, match=r'its folder is no folder'):
        locate(NAME)


def test_a_damaged_record(drive, cache):
    locate(NAME)
    (cache / NAME / 'fetched.json').write_text('{"a": 3}')
    with pytest.raises(CheckpointError, match=r'fetched\.json cannot be read'):
        locate(NAME)


def test_without_a_network(monkeypatch, cache):
    monkeypatch.setattr(published, '_DRIVE', 'http://127.0.0.1:9/uc?id=')
    with pytest.raises(CheckpointError, match='could not be fetched'):
        locate(NAME)
    (cache / NAME / FILE).write_bytes(b'put there by hand')
    assert locate(NAME) == str(cache / NAME / FILE)


def test_by_name_wherever_weights_are_named(drive, cache):
    path = str(cache / NAME / FILE)
    assert 'state_dict' in CheckpointLoader.load_checkpoint(NAME)
    cfg = Config(dict(
        load_from=NAME, model=dict(init_cfg=dict(type='Pretrained', checkpoint=NAME)),
        custom_hooks=[dict(type='ZeroShotCheckHook', checkpoint=NAME)]))
    fit_to_model(cfg)
    assert cfg.load_from == path == cfg.model.init_cfg.checkpoint
    assert cfg.custom_hooks[0].checkpoint == NAME  # it fetches where it trains


def test_names():
    assert all(map(is_published, ('tvtsv2-b32', 'tvtsv2-h14', 'openai/clip-vit-base-patch16',
                                  'hf://me/tiny', 'hf://me/tiny@v1.0', 'laion/CLIP-ViT-H-14')))
    for other in ('tvtsv2-b61', 'me/tiny', 'openai/ViT-B-16.pt', 'hf://me', 'hf://me/../tiny', None,
                  'hf://me/tiny@../up', 'hf://-a/b', 'http://host/a', 'openai/a/b', 'a/b/hf://c/d'):
        assert not is_published(other)
    assert locate('me/tiny') == 'me/tiny'
    with pytest.raises(CheckpointError, match='hf://me is no name on the hub: hf://OWNER/MODEL'):
        locate('hf://me')
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint tvtsv2-b61; did you mean'):
        check_checkpoint('tvtsv2-b61')


def test_what_is_there_by_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'openai' / 'clip').mkdir(parents=True)
    assert locate('openai/clip') == 'openai/clip'


HUB = '''
import sys
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.published import locate
for name in sys.argv[1:]:
    try:
        print(locate(name))
    except CheckpointError as error:
        print(f'error: {error}')
'''


def from_hub(address: str, *names: str) -> list[str]:
    """In a process of its own: the hub's library reads the environment when it is imported."""
    run = subprocess.run(
        [sys.executable, '-c', HUB, *names], cwd=ROOT, capture_output=True, text=True,
        env=dict(os.environ, HF_ENDPOINT=address, HF_HUB_DISABLE_XET='1', HF_HUB_OFFLINE='0'))
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_folders_of_the_hub(cache):
    weights = save(dict(a=torch.arange(1000.0)))
    files = {
        'config.json': b'{"model_type": "clip"}',
        'merges.txt': b'a b',
        'model.safetensors': weights,
        'pytorch_model.bin': b'the same once more',
        'tf_model.h5': b'for another library',
        'modeling_tiny.py': b'raise SystemExit("run")',
        '../up.json': b'{}',
    }
    server = Server(hub={'me/tiny': files, 'me/changed': files, 'me/none': {'README.md': b''}})
    with serving(server) as address:
        path, *refused = from_hub(address, 'hf://me/tiny', 'hf://me/changed', 'hf://me/none',
                                  'hf://me/nobody')
        folder = Path(path)
        assert folder == cache / 'hub' / 'me--tiny@main'
        assert {path.name for path in folder.iterdir() if path.name[0] != '.'} == {
            'config.json', 'merges.txt', 'model.safetensors', 'fetched.json'}
        assert (folder / 'model.safetensors').read_bytes() == weights
        assert not [*cache.rglob('up.json')]
        for line, told in zip(refused, (
                r'model\.safetensors is not what is published: its SHA-256 is',
                'hf://me/none has no weights that can be read here: none of model.saf.*README',
                r'hf://me/nobody could not be fetched \(.*404'), strict=True):
            assert re.match(f'error: .*{told}', line), line
        server.asked.clear()
        assert from_hub(address, 'hf://me/tiny') == [path]
        assert server.asked == []


def test_weights_of_another_name():
    files = dict.fromkeys(('model.bin', 'config.json', 'vocabulary.txt', 'model.safetensors',
                           'run.py', 'sub/model.bin'))
    assert published._chosen('hf://me/whisper', files, ('model.bin', )).keys() == {
        'model.bin', 'config.json', 'vocabulary.txt'}
