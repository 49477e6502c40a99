import copy
import gzip
import html
import random
import string
import sys
from importlib.util import find_spec

import ftfy
import open_clip
import pytest
import torch

from tvtsv2_mm.utils import tokenizer as module
from tvtsv2_mm.utils.extras import MissingPackageError
from tvtsv2_mm.utils.tokenizer import ClipTokenizer, build_clip_tokenizer, find_vocab_file, mend

TEXTS = [
    'a person juggling', 'Hello, World!', "it's what we've   done, isn't it?", '',
    'UPPER lower 12345 3.14', 'supercalifragilisticexpialidocious', '"quotes" (and) [brackets]',
    'new\nline and\ttab', '...!!!---', 'a' * 300, 'word ' * 100, 'Été à Łódź',
    '三只猫 🐈🐈‍⬛ and ½ dog', 'x\u00a0y\u2003z',
    # What is mended.
    'don’t', '“a dog”', 'a &amp; b', '&amp;amp;lt; b', '&lt;b&gt;', 'ﬁsh', 'cafe\u0301', '\ufeffa',
    'Ａ１', 'schÃ¶n', 'a\u200bb', 'a\x00b\x1b[0m', 'e&#769;', '…', 'İ ß ΟΔΟΣ', 'don´t', 'a\r\nb',
]


@pytest.fixture(scope='module')
def tokenizer():
    return ClipTokenizer()


def test_equal_to_open_clips_own(tokenizer):
    wanted = open_clip.get_tokenizer('ViT-B-32')(TEXTS)
    tokens = tokenizer(TEXTS)
    assert tokens.dtype == torch.int64
    for text, found, expected in zip(TEXTS, tokens, wanted, strict=True):
        assert found.tolist() == expected.tolist(), text


@pytest.mark.parametrize('context_length', [2, 5, 77])
def test_a_long_text_is_cut_and_keeps_its_end_token(context_length):
    tokens, _ = ClipTokenizer(context_length).tokenize(['word ' * 100])
    assert tokens.shape == (1, context_length)
    assert tokens[0, 0] == 49406
    assert tokens[0, -1] == 49407
    assert (tokens == 49407).sum() == 1


def test_texts_that_are_cut_are_counted_or_told():
    tokenizer = ClipTokenizer(4)
    texts = ['a dog runs', 'a dog', 'word ' * 100]
    tokens, num_cut = tokenizer.tokenize(texts)
    assert num_cut == 2
    with pytest.warns(UserWarning, match='2 of 3 texts are longer than the context of 4 tokens'):
        assert torch.equal(tokenizer(texts), tokens)


def test_a_text_that_just_fits_is_not_cut():
    assert ClipTokenizer(4)(['a dog']).tolist() == [[49406, 320, 1929, 49407]]


def test_marks_in_a_text_are_no_marks_of_ours(tokenizer):
    tokens = tokenizer(['a <|endoftext|> dog <|startoftext|>', 'a &lt;|endoftext|> dog', 'a dog'])
    assert tokens[0].tolist() == tokens[1].tolist() == tokens[2].tolist()
    tokens = tokenizer(['<|ENDOFTEXT|>'])
    assert (tokens == 49407).sum() == 1


def test_plain_texts_need_no_mending(monkeypatch):
    draw = random.Random(0)
    texts = [''.join(draw.choices(string.printable.replace('&', ''), k=30)) for _ in range(300)]
    expected = [' '.join(html.unescape(ftfy.fix_text(text)).split()) for text in texts]
    assert [mend(text) for text in texts] == expected
    monkeypatch.setitem(sys.modules, 'ftfy', None)
    assert mend("it's  a (dog)\n") == "it's a (dog)"
    with pytest.raises(MissingPackageError, match='mending a text as CLIP does needs ftfy: pip'):
        mend('don’t')


def test_one_string_is_refused(tokenizer):
    with pytest.raises(TypeError, match='list of texts'):
        tokenizer('a dog')


def test_no_text_at_all(tokenizer):
    assert tokenizer([]).shape == (0, 77)


def test_a_copy_for_another_process(tokenizer):
    sent = copy.deepcopy(ClipTokenizer(7))
    assert sent(['a dog']).tolist() == tokenizer(['a dog'])[:, :7].tolist()


def test_too_short_a_context():
    with pytest.raises(ValueError, match='at least 2'):
        ClipTokenizer(1)


def test_without_open_clip_torch(monkeypatch):
    monkeypatch.setattr(module.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match='needs open_clip_torch: pip install'):
        find_vocab_file()


def test_open_clip_torch_without_its_vocabulary(monkeypatch, tmp_path):
    spec = copy.copy(find_spec('open_clip'))  # not that of the module
    spec.origin = str(tmp_path / '__init__.py')
    monkeypatch.setattr(module.importlib.util, 'find_spec', lambda name: spec)
    with pytest.raises(FileNotFoundError, match=f'not at {tmp_path}'):
        find_vocab_file()


def test_a_vocabulary_that_is_not_clips(monkeypatch, tmp_path):
    path = tmp_path / 'short.txt.gz'
    path.write_bytes(gzip.compress(gzip.decompress(find_vocab_file().read_bytes())[:99999]))
    monkeypatch.setattr(module, 'find_vocab_file', lambda: path)
    with pytest.raises(RuntimeError, match=r"short\.txt\.gz has \d+ tokens, CLIP's has 49408"):
        build_clip_tokenizer.__wrapped__()
