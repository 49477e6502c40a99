"""Texts to tokens: CLIP's byte pairs from an installed vocabulary, and what others have too."""

import functools
import gzip
import html
import importlib.util
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
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
# ftfy leaves other characters as they are; white space is brought to one space anyway.
_TO_MEND = re.compile(r"[^\t\n\r -%'-~]")
_WORD = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True)
class Vocabulary:
    """Whose tokens they are, and how many there are; goes with the tokens of a sample."""

    name: str  # 'clip', or as tokenizer_files.name_of says it
    size: int = 0  # all ids lie below; 0: not told


def check_reads(encoder: Any, vocabulary: Vocabulary, option: str) -> None:
    """Check that a text encoder reads the tokens that are made for it.

    Args:
        encoder: a neck; None, or one that does not say whose tokens it reads, reads CLIP's.
        vocabulary: of the tokens.
        option: of the config, which says who makes them.

    Raises:
        ValueError: it reads those of another tokenizer, or has fewer.
    """
    own = getattr(encoder, 'tokenizer', 'clip')
    if not same_tokenizer(own, vocabulary.name):
        change = 'leave it out, or do not set tokenizer' if own == 'clip' else (
            'give the folder that has its tokenizer.json: --cfg-options tokenizer=FOLDER')
        raise ValueError(f'this model reads the tokens of {own!r} (neck.tokenizer), and {option} '
                         f'makes those of {vocabulary.name!r}: {change}')
    rows = getattr(encoder, 'vocab_size', vocabulary.size)
    if vocabulary.size > rows:
        raise ValueError(f'{option} makes tokens of {vocabulary.name!r}, which has '
                         f'{vocabulary.size}, but neck.vocab_size is {rows}')


def same_tokenizer(one: str, other: str) -> bool:
    """Whether two names may be of one tokenizer: where both tell a fingerprint, by that alone."""
    (kind, mark), (other_kind, other_mark) = map(split_name, (one, other))
    return mark == other_mark if mark and other_mark else kind == other_kind


def split_name(name: str) -> tuple[str, str]:
    """The kind of a tokenizer and the fingerprint of its vocabulary, '' where none is told.

    Examples:
        >>> split_name('GemmaTokenizer_0123456789ab')
        ('GemmaTokenizer', '0123456789ab')
        >>> split_name('GemmaTokenizer')
        ('GemmaTokenizer', '')
    """
    found = re.fullmatch(r'(.*)_([0-9a-f]{12})', name)
    return (found[1], found[2]) if found else (name, '')


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

    It takes texts that are cleaned and in lower case. Of the library below transformers, whose own
    class takes other arguments in each major version.

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
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_WORD), 'removed', invert=True),
         ByteLevel(add_prefix_space=False)])
    return tokenizer


def mend(text: str) -> str:
    """Mend a text as OpenAI's CLIP and OpenCLIP do before each of their tokenizers.

    Quotes become straight, ligatures and full width characters letters, entities of html what they
    stand for; broken unicode is repaired (ftfy). White space becomes one space.

    Raises:
        MissingPackageError: the text may need ftfy, and it is not installed.
    """
    if _TO_MEND.search(text):
        with needed_for('mending a text as CLIP does'):
            import ftfy
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return ' '.join(text.split())


class TextTokenizer(ABC):
    """Texts to rows of token ids: what begins a text, its tokens, what ends it, padding.

    Args:
        context_length: Tokens in a row, L. A longer text is cut; what ends it stays last.

    Attributes:
        vocabulary: whose tokens they are.
        begin: ids that begin every text.
        end: ids that end it.
        pad: the id of what stands behind.
    """

    vocabulary: Vocabulary
    begin: tuple[int, ...]
    end: tuple[int, ...]
    pad: int

    def __init__(self, context_length: int) -> None:
        least = max(1, len(self.begin) + len(self.end))
        if context_length < least:
            raise ValueError(f'context_length must be at least {least} (start and end token), '
                             f'got {context_length}')
        self.context_length = context_length

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
        tokens = torch.full((len(texts), self.context_length), self.pad, dtype=torch.long)
        room = self.context_length - len(self.begin) - len(self.end)
        num_cut = 0
        for row, text in zip(tokens, texts, strict=True):
            ids = self._encode(text)
            num_cut += len(ids) > room
            ids = [*self.begin, *ids[:room], *self.end]
            row[:len(ids)] = torch.tensor(ids)
        return tokens, num_cut

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """The ids of a text by itself; names of special tokens in it are no such tokens."""


class ClipTokenizer(TextTokenizer):
    """Texts to CLIP tokens: start token, text, end token, zeros.

    Texts are mended (:func:`mend`) and brought to lower case. Equal to open_clip's tokenizer and to
    OpenAI's, which the release has, except that special tokens that a text spells are left out of
    it: captions are anybody's, and an end token in one would be where its embedding is read.

    Args:
        context_length: Tokens in a row, L. A longer text is cut; its end token stays last.

    Raises:
        MissingPackageError, FileNotFoundError, RuntimeError: as :func:`build_clip_tokenizer`.
    """

    vocabulary = Vocabulary('clip', VOCAB_SIZE)
    begin, end, pad = (START_TOKEN, ), (END_TOKEN, ), 0

    def __init__(self, context_length: int = 77) -> None:
        super().__init__(context_length)
        self._backend = build_clip_tokenizer()

    def _encode(self, text: str) -> list[int]:
        text = mend(text)
        for name in _SPECIAL:  # spoken or written, they are no marks of ours
            text = text.replace(name, ' ')
        # One text at a time: encode_batch starts threads, which do not survive a fork.
        return self._backend.encode(text.lower()).ids

    def __reduce__(self) -> tuple:
        return type(self), (self.context_length, )
