import json
import re

import pytest

from tests.tiny_tokenizers import CORPUS, write_gemma, write_xlm_v
from tvtsv2_mm.utils import tokenizer_files
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.tokenizer import Vocabulary, check_reads, same_tokenizer
from tvtsv2_mm.utils.tokenizer_files import copy_tokenizer, find_tokenizer, name_of


def test_a_name_is_the_class_and_a_fingerprint_of_the_vocabulary(tmp_path):
    name = name_of(write_gemma(tmp_path / 'a'))
    assert re.fullmatch('GemmaTokenizer_[0-9a-f]{12}', name) and len(name) <= 40
    # The same vocabulary by another version of the library, and of a class of another name.
    folder = write_gemma(tmp_path / 'b', tokenizer_class='Siglip2TokenizerFast')
    content = json.loads((folder / 'tokenizer.json').read_text('utf-8'))
    content['model']['merges'] = [' '.join(pair) for pair in content['model']['merges']]
    content['version'] = '2.0'
    (folder / 'tokenizer.json').write_text(json.dumps(content, indent=1))
    assert name_of(folder) == name.replace('GemmaTokenizer', 'Siglip2Tokenizer')
    assert same_tokenizer(name, name_of(folder))
    # Another vocabulary; and other merges, or other scores, of the same one.
    assert not same_tokenizer(name_of(write_gemma(tmp_path / 'c', CORPUS[:4])), name)
    content['model']['merges'].reverse()
    (folder / 'tokenizer.json').write_text(json.dumps(content))
    assert not same_tokenizer(name_of(folder), name)
    folder = write_xlm_v(tmp_path / 'd')
    name = name_of(folder)
    content = json.loads((folder / 'tokenizer.json').read_text('utf-8'))
    content['model']['vocab'][7][1] -= 1
    (folder / 'tokenizer.json').write_text(json.dumps(content))
    assert not same_tokenizer(name_of(folder), name)


@pytest.mark.parametrize(('one', 'other', 'same'), [
    ('clip', 'clip', True), ('clip', 'GemmaTokenizer', False),
    ('GemmaTokenizer', 'GemmaTokenizer_0123456789ab', True),
    ('XLMRobertaTokenizer', 'GemmaTokenizer_0123456789ab', False),
    ('GemmaTokenizer_0123456789ab', 'GemmaTokenizer_0123456789ac', False),
    ('PreTrainedTokenizer_0123456789ab', 'GemmaTokenizer_0123456789ab', True)])
def test_same_tokenizer(one, other, same):
    assert same_tokenizer(one, other) == same_tokenizer(other, one) == same


class Encoder:
    tokenizer = 'GemmaTokenizer_0123456789ab'
    vocab_size = 100


def test_what_an_encoder_does_not_read_is_refused():
    check_reads(Encoder(), Vocabulary('GemmaTokenizer_0123456789ab', 100), 'x')
    check_reads(None, Vocabulary('clip', 49408), 'x')
    with pytest.raises(ValueError, match=r"reads the tokens of 'GemmaTokenizer_0123456789ab' "
                                         r'\(neck\.tokenizer\), and x makes those of .clip.: give '
                                         'the folder .*tokenizer=FOLDER'):
        check_reads(Encoder(), Vocabulary('clip', 49408), 'x')
    with pytest.raises(ValueError, match='leave it out'):
        check_reads(None, Vocabulary('GemmaTokenizer', 3), 'x')
    with pytest.raises(ValueError, match=r'has 101, but neck\.vocab_size is 100'):
        check_reads(Encoder(), Vocabulary('GemmaTokenizer_0123456789ab', 101), 'x')


def test_it_is_found_beside_weights(tmp_path):
    folder = write_gemma(tmp_path / 'hub')
    name, other = name_of(folder), name_of(write_gemma(tmp_path / 'other', CORPUS[:4]))
    weights = folder / 'model.safetensors'
    assert find_tokenizer(name, [None, 'https://x/y.pth', weights]) == str(folder)
    assert find_tokenizer('GemmaTokenizer', [folder]) == str(folder)
    assert find_tokenizer(other, [folder]) is None
    assert find_tokenizer('clip', []) == 'clip'
    # Several models in one folder; one of them is itself a folder, as sharded training writes it.
    for source in ('hub', 'other', 'hub'):
        copy_tokenizer(tmp_path / source, tmp_path / 'run')
    assert {path.name for path in (tmp_path / 'run' / 'tokenizers').iterdir()} == {name, other}
    (tmp_path / 'run' / 'epoch_1').mkdir()
    for place in ('run/epoch_1.pth', 'run', 'run/epoch_1'):
        assert find_tokenizer(other, [tmp_path / place]) == str(
            tmp_path / 'run' / 'tokenizers' / other)
    copied = tmp_path / 'run' / 'tokenizers' / name
    assert (copied / 'tokenizer_config.json').read_bytes() == (
        folder / 'tokenizer_config.json').read_bytes()
    assert name_of(copied) == name


def test_the_kind_alone_is_no_name_of_what_lies_beside_other_weights(tmp_path):
    """A sibling's, or one above, may be of another vocabulary."""
    copy_tokenizer(write_gemma(tmp_path / 'other'), tmp_path)
    own = tmp_path / 'model'
    own.mkdir()
    for place in (own, tmp_path / 'model.pth'):
        assert find_tokenizer('GemmaTokenizer', [place]) is None
    write_gemma(tmp_path / 'above')
    (tmp_path / 'above' / 'epoch_1').mkdir()
    assert find_tokenizer('GemmaTokenizer', [tmp_path / 'above' / 'epoch_1']) is None
    # Put where the message says.
    shared = write_gemma(tmp_path / 'tokenizers' / 'GemmaTokenizer')
    for place in (own, tmp_path / 'model.pth'):
        assert find_tokenizer('GemmaTokenizer', [place]) == str(shared)
    write_gemma(own)
    assert find_tokenizer('GemmaTokenizer', [own]) == str(own)


def test_nothing_is_copied_in_place_or_of_clip(tmp_path):
    copy_tokenizer('clip', tmp_path)
    copy_tokenizer(write_gemma(tmp_path), tmp_path)
    assert not (tmp_path / 'tokenizers').exists()


def test_a_folder_without_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'tokenizer=.*there is no tokenizer\.json in it.*'
                                                'save_pretrained'):
        name_of(tmp_path)


def test_a_file_of_any_size_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer_files, '_LARGEST', 1000)
    with pytest.raises(UserFileError, match=r'tokenizer\.json has \d+ bytes, more than'):
        name_of(write_gemma(tmp_path))


@pytest.mark.parametrize('text', ['', '[]', '[' * 100_000, '{"model": ', '\udcff'])
def test_a_damaged_file_is_named(tmp_path, text):
    folder = write_gemma(tmp_path)
    (folder / 'tokenizer.json').write_text(text, 'utf-8', 'surrogateescape')
    with pytest.raises(UserFileError, match=r'tokenizer\.json is no JSON of a tokenizer'):
        name_of(folder)


def test_a_name_is_a_word(tmp_path):
    folder = write_gemma(tmp_path, tokenizer_class='../../x\x1b[0m' * 9)
    assert re.fullmatch('[A-Za-z0-9_]{1,40}', name_of(folder))
