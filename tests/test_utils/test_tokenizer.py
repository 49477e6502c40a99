import copy
import gzip
from importlib.util import find_spec

import open_clip
import pytest
import torch

from tvtsv2_mm.utils import tokenizer as module
from tvtsv2_mm.utils.extras import MissingPackageError
from tvtsv2_mm.utils.tokenizer import ClipTokenizer, build_clip_tokenizer, find_vocab_file

TEXTS = [
    'a person juggling', 'Hello, World!', "it's what we've   done, isn't it?", '',
    'UPPER lower 12345 3.14', 'supercalifragilisticexpialidocious', '"quotes" (and) [brackets]',
    'new\nline and\ttab', '...!!!---', 'a' * 300, 'word ' * 100, 'Été à Łódź',
    '三只猫 🐈🐈‍⬛ and ½ dog', '<|ENDOFTEXT|>', 'x\u00a0y\u2003z',
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
    tokens = tokenizer(['a <|endoftext|> dog <|startoftext|>'])
    assert tokens.tolist() == tokenizer(['a dog']).tolist()


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
