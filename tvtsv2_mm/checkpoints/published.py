"""Weights by name: where they are published, and the copy that this machine keeps.

    tvtsv2-b16               the authors' release, from Google Drive
    hf://OWNER/MODEL         a folder of the Hugging Face hub, @REVISION behind it if need be
    openai/..., laion/...    the same without the prefix

A file or folder of that name comes first.
"""

import json
import os
import re
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import escape
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.errors import shortened
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.utils.files import file_sha256, file_stamp, make_folder, to_json, write_atomically
from tvtsv2_mm.utils.locks import locked

from .entries import some
from .errors import CheckpointError, reading
from .kinds import FOLDER_FILES

CACHE = 'TVTSV2_MM_CACHE'
"""Environment variable: the folder of the copies; by default ~/.cache/tvtsv2_mm."""

_DRIVE = 'https://drive.google.com/uc?id='
_PATIENCE = 24 * 3600.0  # seconds that other ranks wait for the one that fetches
_RECORD = 'fetched.json'
_HUB = re.compile(r'(?:hf://|(?=(?:openai|laion)/)(?!.*\.(?:pt|pth|bin|safetensors)$))'
                  r'(?P<id>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?')
# Beside the weights of a hub's folder: configs, and the files of tokenizers and processors.
_SMALL = ('.json', '.txt', '.model')


@dataclass(frozen=True)
class Released:
    """A file of the authors' release.

    Args:
        drive_id: Google Drive's.
        name: that of the file.
    """

    drive_id: str
    name: str


RELEASED = {
    'tvtsv2-b32': Released('1zNHgqioo-aRUwZXPyTDiRT2uaRrnk386', 'TVTSv2_ViT_B_32.pth'),
    'tvtsv2-b16': Released('1HKc7aGwMd5jhVaYztuY-jbmYqiz_wvWF', 'TVTSv2_ViT_B_16.pth'),
    'tvtsv2-h14': Released('1nxNSaQKm2jt9NSZ3eLnKx7ATTumV-6D5', 'TVTSv2_ViT_H_14.pth'),
}


def locate(place: str | os.PathLike, weights: Sequence[str] = FOLDER_FILES) -> str:
    """The file or folder that a name stands for, fetched where it is not there yet.

    What is fetched is kept with its size and SHA-256, and looked at again whenever it is used: the
    size each time, the bytes where the file was touched since. What the hub publishes the SHA-256
    of has to have that one.

    Args:
        place: a name of the module's list; anything else is returned as it is.
        weights: names of the file of weights that is wanted of a folder of the hub: the first
            that is there.

    Raises:
        CheckpointError: it cannot be fetched, and the message says which file to put where; or the
            copy is not what was fetched.
        UnwritableError: the folder of the copies cannot be written to.
        MissingPackageError: a package for fetching is not installed.
    """
    name = os.fspath(place)
    if os.path.exists(os.path.expanduser(name)):
        return name
    if name in RELEASED:
        return str(_released(name))
    hub = _HUB.fullmatch(name)
    if hub is not None:
        return str(_of_hub(hub['id'], hub['revision'], weights))
    if name.startswith('hf://'):
        raise CheckpointError(f'{name} is no name on the hub: hf://OWNER/MODEL, or '
                              'hf://OWNER/MODEL@REVISION')
    return name


def is_published(place: Any) -> bool:
    """Whether a name stands for weights that :func:`locate` fetches; nothing is fetched."""
    return isinstance(place, str) and (place in RELEASED or bool(_HUB.fullmatch(place)))


def cache_folder() -> Path:
    """Where the copies are."""
    return Path(os.environ.get(CACHE) or Path('~/.cache/tvtsv2_mm').expanduser())


def _released(name: str) -> Path:
    released = RELEASED[name]
    folder = cache_folder() / name
    file = folder / released.name
    with _kept(folder):
        if not file.is_file():
            with needed_for(f'fetching {name}'):
                import gdown
            try:
                gdown.download(f'{_DRIVE}{released.drive_id}', str(file), resume=True,
                               use_cookies=False, quiet=not sys.stderr.isatty())
            except Exception as error:  # gdown's, of requests, of the system
                raise CheckpointError(
                    f'{name} could not be fetched ({_first_line(error)}). By hand: '
                    f'https://drive.google.com/file/d/{released.drive_id}/view to {file}'
                ) from error
        _check(folder, [file], {})
    return file


def _of_hub(repository: str, revision: str | None, weights: Sequence[str]) -> Path:
    name = f'hf://{repository}'
    with needed_for(f'fetching {name}'):
        from huggingface_hub import HfApi, snapshot_download
    folder = cache_folder() / 'hub' / f'{repository}@{revision or "main"}'.replace('/', '--')
    with _kept(folder):
        known: dict[str, str] = {}
        if not (folder / _RECORD).is_file():
            try:
                found = HfApi().model_info(repository, revision=revision, timeout=30,
                                            files_metadata=True)
                chosen = _chosen(
                    name, {file.rfilename: file.lfs for file in found.siblings or ()}, weights)
                snapshot_download(repository, revision=found.sha, local_dir=folder,
                                  allow_patterns=[escape(file) for file in chosen])
            except CheckpointError:
                raise
            except Exception as error:  # the hub's, of its network library, of the system
                raise CheckpointError(
                    f'{name} could not be fetched ({_first_line(error)}). By hand: the '
                    f'{weights[0]}, *.json and *.txt of it to a folder, and give the folder'
                ) from error
            known = {file: lfs.sha256 for file, lfs in chosen.items() if lfs is not None}
        _check(folder, [
            path for path in sorted(folder.rglob('*'))
            if path.is_file() and not path.relative_to(folder).parts[0].startswith('.')
        ], known)
    return folder


@contextmanager
def _kept(folder: Path) -> Generator[None]:
    """Keep other processes out while one fetches; a finished copy may be where nobody can write."""
    if (folder / _RECORD).is_file() and not os.access(folder, os.W_OK):
        yield
        return
    make_folder(folder)
    with locked(folder, _PATIENCE):
        yield


def _chosen(name: str, files: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """Of the files of a repository the weights, once, and what tells of model and texts."""
    safe = {file: lfs for file, lfs in files.items()
            if not {'', '.', '..'} & {*file.split('/')} and '\\' not in file}
    folders = sorted({os.path.dirname(file) for file in safe}, key=lambda path: path.count('/'))
    weights = next((os.path.join(folder, file) for folder in folders for file in wanted
                    if os.path.join(folder, file) in safe), None)
    if weights is None:
        raise CheckpointError(f'{name} has no weights that can be read here: none of '
                              f'{", ".join(wanted)}, but {some(sorted(files))}')
    shards = re.sub(r'(\.\w+)\.index\.json$', r'-*\1', weights)
    return {file: lfs for file, lfs in safe.items()
            if file == weights or (shards != weights and fnmatch(file, shards))
            or file.endswith(_SMALL)}


def _check(folder: Path, files: Iterable[Path], known: Mapping[str, str]) -> None:
    """Compare a copy with what is recorded of it; make the record of a new one.

    Args:
        folder: of the copy.
        files: of a new one.
        known: SHA-256 of some, as they are published.
    """
    record = folder / _RECORD
    if not record.is_file():
        found = {str(path.relative_to(folder)): dict(sha256=file_sha256(path), **file_stamp(path))
                 for path in files}
        for file, sha256 in known.items():
            if found[file]['sha256'] != sha256:
                (folder / file).unlink()
                raise CheckpointError(
                    f'{folder / file} is not what is published: its SHA-256 is '
                    f'{found[file]["sha256"]}, not {sha256}. It is removed: try again')
        write_atomically(record, to_json(found))
        return
    with reading(record):
        kept = json.loads(record.read_text('utf-8'))
        touched = {file: dict(told) for file, told in kept.items()
                   if file_stamp(folder / file) != {key: told[key] for key in ('size', 'time')}}
    for file, told in touched.items():
        path = folder / file
        if not path.is_file():
            raise CheckpointError(f'{path} has gone. Remove {folder}, and it is fetched anew')
        if path.stat().st_size != told['size'] or file_sha256(path) != told['sha256']:
            raise CheckpointError(f'{path} is not what was fetched: its size or SHA-256 is another '
                                  f'({told["size"]} bytes, {told["sha256"]}). Remove {folder}, and '
                                  'it is fetched anew')
        kept[file].update(file_stamp(path))
    if touched:
        write_atomically(record, to_json(kept))


def _first_line(error: Exception) -> str:
    return f'{type(error).__name__}: {shortened(str(error).strip().partition(chr(10))[0])}'
