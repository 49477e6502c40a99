"""The tokenizer files of a folder: whose tokens they make, where they lie, how they travel.

They may be anybody's: JSON, of bounded size, and nothing in them is run. Beside weights they lie in
the folder itself, as everywhere on the hub, or in ``tokenizers/NAME`` of it, where the weights of
several models can share one folder.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from tvtsv2_mm.utils.errors import UserFileError, one_error
from tvtsv2_mm.utils.files import write_atomically
from tvtsv2_mm.utils.tokenizer import (
    VOCAB_SIZE,
    build_clip_tokenizer,
    same_tokenizer,
    split_name,
)

VOCABULARY = 'tokenizer.json'
# What says how texts are cleaned, ended and padded.
SETTINGS = ('tokenizer_config.json', 'special_tokens_map.json', 'open_clip_config.json')
ADDED = 'added_tokens.json'  # of transformers before 5; what it tells stands in the others, too
FOLDER = 'tokenizers'
# XLM-V's of 901629 tokens has some 60 MB.
_LARGEST = 256 * 2**20


def read_settings(folder: Path, name: str) -> dict[str, Any]:
    """The names and values of a JSON file; none where it is missing.

    Raises:
        UserFileError: it is damaged or too large.
    """
    file = folder / name
    return _parse(file) if file.is_file() else {}


def read_vocabulary(folder: str | Path) -> dict[str, Any]:
    """What ``tokenizer.json`` of a folder holds.

    Raises:
        FileNotFoundError: it has none.
        UserFileError: it is damaged or too large.
    """
    folder = Path(folder).expanduser()
    file = folder / VOCABULARY
    if not file.is_file():
        raise FileNotFoundError(
            f'tokenizer={str(folder)!r}: there is no {VOCABULARY} in it. Of a tokenizer that has '
            'other files alone, transformers writes one: '
            'AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)')
    return _parse(file)


def name_of(folder: str | Path) -> str:
    """Whose tokens the files of a folder make: 'clip', or the kind and a fingerprint.

    The kind is the class that ``tokenizer_config.json`` names, the fingerprint that of the
    vocabulary: of tokens, their ids, and in which order they are merged or with which scores.
    Tokens that were added to CLIP's make another one of it.

    Raises:
        FileNotFoundError, UserFileError: as :func:`read_vocabulary`.
    """
    folder = Path(folder).expanduser()
    return _name_of(folder, stamps(folder))


@lru_cache(maxsize=32)
def _name_of(folder: Path, _: tuple) -> str:
    vocabulary = read_vocabulary(folder)
    model: Any = vocabulary.get('model')
    with one_error(f'{folder / VOCABULARY} holds no vocabulary', UserFileError):
        tokens = model['vocab']
        if isinstance(tokens, dict):
            tokens = sorted(tokens.items(), key=lambda item: item[1])
        merges = [pair.split(' ') if isinstance(pair, str) else pair
                  for pair in model.get('merges') or ()]
        added = sorted((token['id'], token['content'])
                       for token in vocabulary.get('added_tokens') or ())
        if len(tokens) == VOCAB_SIZE and merges == _clips_merges() and are_clips(
                dict(tokens) |
                {token: index for index, token in added} | added_tokens(folder)):
            return 'clip'
        text = json.dumps([tokens, merges, added])
    mark = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f'{kind_of(folder) or "another_vocabulary"}_{mark}'


def are_clips(tokens: Mapping[str, int | None]) -> bool:
    """Whether CLIP's vocabulary has all of the tokens, and where their ids are told, by those."""
    known = build_clip_tokenizer().get_vocab()
    return all(token in known and index in (None, known[token])
               for token, index in tokens.items())


@cache
def _clips_merges() -> list[list[str]]:
    return json.loads(build_clip_tokenizer().to_str())['model']['merges']


def added_tokens(folder: Path) -> dict[str, int | None]:
    """The tokens that a folder's files add to its vocabulary, and their ids where they tell them.

    Those of ``tokenizer.json`` itself are not among them: they should be all.

    Raises:
        UserFileError: a file is damaged.
    """
    found: dict[str, int | None] = {}
    for name in SETTINGS[:2]:
        settings = read_settings(folder, name)
        with one_error(f'{folder / name} adds no tokens', UserFileError):
            for key in ('additional_special_tokens', 'extra_special_tokens'):
                value = settings.get(key) or ()
                tokens = value.values() if isinstance(value, dict) else value
                found |= {_content(token): None for token in tokens}
            found |= {_content(token): int(index) for index, token in (
                settings.get('added_tokens_decoder') or {}).items()}
    with one_error(f'{folder / ADDED} adds no tokens', UserFileError):
        found |= {token: int(index) for token, index in read_settings(folder, ADDED).items()}
    return found


def _content(token: Any) -> str:
    content = token['content'] if isinstance(token, dict) else token
    if not isinstance(content, str):
        raise ValueError(f'{content!r} is no token')
    return content


def stamps(folder: Path) -> tuple:
    """Changes where a file of a tokenizer does, without reading it."""
    files = [folder / name for name in (VOCABULARY, *SETTINGS, ADDED)]
    return tuple(file.is_file() and (file.stat().st_mtime_ns, file.stat().st_size)
                 for file in files)


def kind_of(folder: Path) -> str | None:
    """The class that ``tokenizer_config.json`` names, as a word; None where none is named.

    That of CLIP is no name for another vocabulary.
    """
    told = read_settings(folder, SETTINGS[0]).get('tokenizer_class')
    kind = re.sub('[^A-Za-z0-9_]+', '_', str(told or ''))[:26].removesuffix('Fast')
    return kind if kind and kind != 'CLIPTokenizer' else None


def find_tokenizer(name: str, beside: Iterable[str | Path | None]) -> str | None:
    """The folder that has the files of a tokenizer, beside weights.

    Args:
        name: as :func:`name_of` says it, or the kind alone. That is enough of files that lie in
            the folder of the weights itself, or under this very name in ``tokenizers``: what lies
            there otherwise, or above, may be of another model of the kind.
        beside: files and folders of weights; None and addresses are passed over.

    Returns:
        The folder; 'clip' for that name; None where there is none.

    Raises:
        UserFileError: files that are there are damaged.
    """
    if name == 'clip':
        return name
    for place in beside:
        if place is None or '://' in str(place):
            continue
        path = Path(place).expanduser()
        folders = (path, path.parent) if path.is_dir() else (path.parent, )
        for folder in folders:
            shared = folder / FOLDER
            for own in (folder, *(sorted(shared.iterdir()) if shared.is_dir() else ())):
                if (own / VOCABULARY).is_file() and same_tokenizer(name_of(own), name) and (
                        split_name(name)[1] or own in (folders[0], shared / name)):
                    return str(own)
    return None


def copy_tokenizer(folder: str | Path, target: str | Path) -> None:
    """Let the files of a tokenizer lie beside weights that are written to another folder.

    Args:
        folder: which has them; 'clip' needs none.
        target: the folder of the weights.
    """
    if folder == 'clip' or name_of(folder) == 'clip':
        return
    source = Path(folder).expanduser()
    own = Path(target) / FOLDER / name_of(source)
    if source.resolve() in (Path(target).resolve(), own.resolve()) or (own / VOCABULARY).is_file():
        return
    own.mkdir(parents=True, exist_ok=True)
    for name in (*SETTINGS, VOCABULARY):  # the one that others look for is the last
        if (source / name).is_file():
            write_atomically(own / name, (source / name).read_bytes())


def _parse(file: Path) -> dict[str, Any]:
    size = os.path.getsize(file)
    if size > _LARGEST:
        raise UserFileError(f'{file} has {size} bytes, more than the {_LARGEST} that are read')
    with one_error(f'{file} is no JSON of a tokenizer', UserFileError):
        content = json.loads(file.read_text('utf-8'))
        if not isinstance(content, dict):
            raise ValueError('it holds no names and values')
    return content
