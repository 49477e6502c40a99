"""CLIP's byte pair tokens from an installed vocabulary: no network, no download."""

import functools
import gzip
import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from tvtsv2_mm.utils.extras import needed_for

VOCAB_SIZE = 49408
START_TOKEN = VOCAB_SIZE - 2
END_TOKEN = VOCAB_SIZE - 1

_VOCAB_FILE = 'bpe_simple_vocab_16e6.txt.gz'
_SPECIAL = ('<|startoftext|>', '<|endoftext|>')
# The file goes on with merges that CLIP does not use: 49408 = 2 * 256 bytes + merges + 2 special.
_NUM_MERGES = VOCAB_SIZE - 2 * 256 - 2
_WORD = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def check_reads_clip(encoder: Any) -> None:
    """Check that a text encoder reads the tokens that are made here.

    Raises:
        ValueError: it reads those of another tokenizer.
    """
    name = getattr(encoder, 'tokenizer', 'clip')
    if name != 'clip':
        raise ValueError(f'this model reads the tokens of {name!r} (neck.tokenizer), and texts '
                         "become CLIP's tokens here")


def find_vocab_file() -> Path:
    """Where open_clip_torch keeps CLIP's vocabulary; does not import it.

    Raises:
        MissingPackageError: If open_clip_torch is not installed.
        FileNotFoundError: If it lacks the file.
    """
    with needed_for("CLIP's vocabulary of texts"):
        spec = importlib.util.find_spec('open_clip')
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(name='open_clip')
    path = Path(spec.origin).parent / _VOCAB_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"CLIP's vocabulary is not at {path}; reinstall it: "
            'pip install --force-reinstall --no-deps open_clip_torch')
    return path


@functools.cache
def build_clip_tokenizer() -> Tokenizer:
    """CLIP's tokenizer with the vocabulary of :func:`find_vocab_file`; built once.

    Of the library below transformers, whose own class takes other arguments in each major version.

    Raises:
        MissingPackageError, FileNotFoundError: as :func:`find_vocab_file`.
        RuntimeError: If it is not CLIP's of 49408 tokens: a wrong one trains without complaint.
    """
    path = find_vocab_file()
    with gzip.open(path, 'rt', encoding='utf-8') as file:
        lines = file.read().split('\n')
    merges: Any = [tuple(line.split()) for line in lines[1:1 + _NUM_MERGES]]
    characters = sorted(ByteLevel.alphabet())  # one for each byte
    names = [*characters, *(c + '</w>' for c in characters), *map(''.join, merges), *_SPECIAL]
    vocabulary = {name: i for i, name in enumerate(names)}
    if len(vocabulary) != VOCAB_SIZE:
        raise RuntimeError(f"the vocabulary at {path} has {len(vocabulary)} tokens, CLIP's has "
                           f'{VOCAB_SIZE}; reinstall open_clip_torch at the version in '
                           'requirements/')
    tokenizer = Tokenizer(BPE(vocabulary, merges, end_of_word_suffix='</w>'))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r'\s+'), ' '), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_WORD), 'removed', invert=True),
         ByteLevel(add_prefix_space=False)])
    return tokenizer


class ClipTokenizer:
    """Texts to CLIP tokens: start token, text, end token, zeros.

    Equal to open_clip's tokenizer, except that html entities and broken unicode are not mended.

    Args:
        context_length: Tokens in a row, L. A longer text is cut; its end token stays last.

    Raises:
        MissingPackageError, FileNotFoundError, RuntimeError: as :func:`build_clip_tokenizer`.
    """

    def __init__(self, context_length: int = 77) -> None:
        if context_length < 2:
            raise ValueError('context_length must be at least 2 (start and end token), '
                             f'got {context_length}')
        self.context_length = context_length
        self._backend = build_clip_tokenizer()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Tokenize N texts to int64 (N, L), and warn of those that are cut."""
        tokens, num_cut = self.tokenize(texts)
        self.warn_of_cut(num_cut, len(texts))
        return tokens

    def warn_of_cut(self, num_cut: int, num_texts: int) -> None:
        """Warn where texts were cut."""
        if num_cut:
            warnings.warn(f'{num_cut} of {num_texts} texts are longer than the context of '
                          f'{self.context_length} tokens: their ends are cut off', stacklevel=3)

    def tokenize(self, texts: Sequence[str]) -> tuple[torch.Tensor, int]:
        """Tokenize N texts to int64 (N, L), and count those that are longer than L and cut.

        A single string is refused: it would count as N characters.
        """
        if isinstance(texts, str):
            raise TypeError(f'expected a list of texts, got one string: [{texts!r}] is meant?')
        tokens = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        num_cut = 0
        for row, text in zip(tokens, texts, strict=True):
            ids = self._encode(text)
            if len(ids) > self.context_length:
                ids = [*ids[:self.context_length - 1], END_TOKEN]
                num_cut += 1
            row[:len(ids)] = torch.tensor(ids)
        return tokens, num_cut

    def _encode(self, text: str) -> list[int]:
        for name in _SPECIAL:  # spoken or written, they are no marks of ours
            text = text.replace(name, ' ')
        # One text at a time: encode_batch starts threads, which do not survive a fork.
        return [START_TOKEN, *self._backend.encode(text).ids, END_TOKEN]

    def __reduce__(self) -> tuple:
        return type(self), (self.context_length, )
