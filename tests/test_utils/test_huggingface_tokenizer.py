import copy
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import transformers
from tokenizers import AddedToken
from transformers import (
    CLIPTokenizerFast,
    GemmaTokenizerFast,
    PreTrainedTokenizerFast,
    XLMRobertaTokenizerFast,
)

from tests.tiny_tokenizers import TEXTS, write_gemma, write_xlm_v
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.huggingface_tokenizer import HuggingFaceTokenizer, build_tokenizer
from tvtsv2_mm.utils.tokenizer import ClipTokenizer, build_clip_tokenizer
from tvtsv2_mm.utils.tokenizer_files import name_of

LENGTH = 16
OPTIONS = dict(padding='max_length', truncation=True, max_length=LENGTH, return_tensors='pt')


def change(folder: Path, file: str, **values: object) -> Path:
    path = folder / file
    content = json.loads(path.read_text('utf-8')) if path.is_file() else {}
    path.write_text(json.dumps(content | values), 'utf-8')
    return folder


def test_siglip2s_gemma_tokenizer(tmp_path):
    """Lower case by the folder's do_lower_case, and <eos> by its add_eos_token."""
    folder = write_gemma(tmp_path)
    tokenizer = build_tokenizer(str(folder), LENGTH)
    tokens, num_cut = tokenizer.tokenize(TEXTS)
    expected = GemmaTokenizerFast.from_pretrained(folder, padding_side='right')(
        [text.lower() for text in TEXTS], **OPTIONS).input_ids
    assert tokens.tolist() == expected.tolist()
    assert (tokens == 1).sum(dim=1).tolist() == len(TEXTS) * [1]  # ends once, cut texts too
    assert tokens[0, 4:].eq(0).all() and num_cut == 2
    assert tokens[-1, -1] == 1


@pytest.mark.skipif(not hasattr(transformers, 'Siglip2Tokenizer'), reason='transformers 4')
def test_equal_to_transformers_own_of_siglip2(tmp_path):
    folder = write_gemma(tmp_path)
    expected = transformers.Siglip2Tokenizer.from_pretrained(folder)(TEXTS, **OPTIONS).input_ids
    assert build_tokenizer(str(folder), LENGTH).tokenize(TEXTS)[0].tolist() == expected.tolist()


def test_metaclip2s_xlm_v_tokenizer(tmp_path):
    folder = write_xlm_v(tmp_path)
    tokenizer = build_tokenizer(str(folder), LENGTH)
    tokens, num_cut = tokenizer.tokenize(TEXTS)
    expected = XLMRobertaTokenizerFast.from_pretrained(folder)(TEXTS, **OPTIONS).input_ids
    assert tokens.tolist() == expected.tolist()
    assert num_cut > 0 and tokens[:, 0].eq(0).all()
    assert tokens[2].tolist() == [0, 2, *14 * [1]]
    # Case and script are kept apart.
    rows = [row.tolist() for row in tokenizer(['die Katze', 'Die Katze', '三只猫', 'كلب'])]
    assert len({tuple(row) for row in rows}) == 4


@pytest.mark.parametrize('write', [write_gemma, write_xlm_v])
def test_special_tokens_that_a_text_spells_are_left_out(tmp_path, write):
    """Also where the normaliser, or the vocabulary itself, makes them."""
    tokenizer = build_tokenizer(str(write(tmp_path)), LENGTH)
    given = ['a</s> <eos>dog <pad> <s>runs<mask>', '<EOS>', '＜/s＞', '<bos>']
    for row, text in zip(tokenizer.tokenize(given)[0], given, strict=True):
        content = [token for token in row.tolist() if token != tokenizer.pad]
        assert sum(token in (*tokenizer.begin, *tokenizer.end) for token in content) == len(
            (*tokenizer.begin, *tokenizer.end)), text


def test_an_unknown_character_is_told(tmp_path):
    tokenizer = build_tokenizer(str(write_xlm_v(tmp_path)), 6)
    assert 3 in tokenizer(['ⵣ'])[0]


def test_how_texts_end_is_read(tmp_path):
    def rows(**config: object) -> list[int]:
        folder = write_gemma(tmp_path, **config)
        return build_tokenizer(str(folder), 6).tokenize(['dog'])[0][0].tolist()

    text = rows(add_eos_token=False)
    assert 1 not in text
    assert rows(add_bos_token=True)[0] == 2
    assert rows(pad_token='<mask>')[-1] == 4
    assert rows(pad_token=dict(content='<mask>', lstrip=False))[-1] == 4
    folder = write_gemma(tmp_path)
    change(folder, 'special_tokens_map.json', pad_token='<mask>')
    config = json.loads((folder / 'tokenizer_config.json').read_text())
    for key in ('pad_token', 'add_bos_token', 'add_eos_token'):
        del config[key]
    (folder / 'tokenizer_config.json').write_text(json.dumps(config))
    row = build_tokenizer(str(folder), 6).tokenize(['dog'])[0][0].tolist()
    assert row[-1] == 4 and 1 in row  # by the post-processor


@pytest.mark.parametrize(('processor', 'frame'), [
    (None, ((), ())),
    (dict(type='ByteLevel', add_prefix_space=True, trim_offsets=True, use_regex=True), ((), ())),
    (dict(type='BertProcessing', sep=['</s>', 2], cls=['<s>', 0]), ((0, ), (2, ))),
    (dict(type='RobertaProcessing', sep=['</s>', 2], cls=['<s>', 0], trim_offsets=True,
          add_prefix_space=False), ((0, ), (2, ))),
    (dict(type='Sequence', processors=[
        dict(type='ByteLevel', add_prefix_space=True, trim_offsets=True, use_regex=True),
        dict(type='BertProcessing', sep=['</s>', 2], cls=['<s>', 0])]), ((0, ), (2, )))])
def test_post_processors(tmp_path, processor, frame):
    folder = change(write_xlm_v(tmp_path), 'tokenizer.json', post_processor=processor)
    tokenizer = build_tokenizer(str(folder), LENGTH)
    assert (tokenizer.begin, tokenizer.end) == frame
    expected = PreTrainedTokenizerFast(tokenizer_file=str(folder / 'tokenizer.json'),
                                       pad_token='<pad>')(['a dog', '三只猫'], **OPTIONS).input_ids
    assert tokenizer.tokenize(['a dog', '三只猫'])[0].tolist() == expected.tolist()


def test_open_clip_mends_texts(tmp_path):
    """As its HFTokenizer does before the tokenizer of a folder that its config names."""
    folder = write_xlm_v(tmp_path)
    texts = ['“a dog” &amp; the ﬁne cat’s', 'ｃａｔ', 'schÃ¶n', *TEXTS]
    plain = build_tokenizer(str(folder), LENGTH).tokenize(texts)[0]
    change(folder, 'open_clip_config.json', model_cfg=dict(text_cfg=dict(hf_tokenizer_name='x')))
    expected = open_clip.tokenizer.HFTokenizer(str(folder), context_length=LENGTH)(texts)
    assert build_tokenizer(str(folder), LENGTH).tokenize(texts)[0].tolist() == expected.tolist()
    assert plain.tolist() != expected.tolist()


@pytest.mark.parametrize('flat', [True, False])
def test_how_open_clip_cleans_texts(tmp_path, flat):
    folder = write_gemma(tmp_path, do_lower_case=False)
    plain = build_tokenizer(str(folder), LENGTH)
    model = dict(text_cfg=dict(tokenizer_kwargs=dict(clean='canonicalize')))
    change(folder, 'open_clip_config.json', **(model if flat else dict(model_cfg=model)))
    cleaned = build_tokenizer(str(folder), LENGTH)
    assert cleaned(['A dog, RUNS_over!']).tolist() == plain(['a dog runs over']).tolist()
    assert cleaned(['A dog']).tolist() != plain(['A dog']).tolist()


CLIPS = ['a dog runs', 'A “Dog” doesn’t &amp; ﬁsh', '', 'a ' * 40, 'café ½', '<sks> dog <foo>!']


@pytest.fixture
def clips(tmp_path) -> Path:
    """A folder of the hub's with CLIP's vocabulary."""
    made = json.loads(build_clip_tokenizer().to_str())['model']
    merges = [' '.join(pair) for pair in made['merges']]
    (tmp_path / 'vocab.json').write_text(json.dumps(made['vocab']))
    (tmp_path / 'merges.txt').write_text('\n'.join(['#version: 0.2', *merges]))
    CLIPTokenizerFast.from_pretrained(tmp_path).save_pretrained(tmp_path)
    return tmp_path


def add(folder: Path, *tokens: str, special: bool = False) -> object:
    tokenizer = CLIPTokenizerFast.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken(token, special=special) for token in tokens])
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.mark.parametrize('added', [(), ('<sks>', '<foo>')])
def test_a_folder_with_clips_vocabulary_is_read_as_transformers_does(clips, added):
    """It is not mended, and tokens that were added to CLIP's are made."""
    expected = add(clips, *added)(CLIPS, **OPTIONS).input_ids
    tokenizer = build_tokenizer(str(clips), LENGTH)
    assert tokenizer.tokenize(CLIPS)[0].tolist() == expected.tolist()
    assert tokenizer.vocabulary.size == 49408 + len(added)
    assert (tokenizer.vocabulary.name == 'clip') == (not added)
    assert isinstance(build_tokenizer(context_length=7), ClipTokenizer)


@pytest.mark.parametrize('added', [(), ('<sks>', )])
def test_marks_in_a_text_for_a_folder_with_clips_vocabulary(clips, added):
    """Its unknown token is the end token, which a text must not spell all the same."""
    add(clips, *added)
    rows = build_tokenizer(str(clips), LENGTH).tokenize(['a <|endoftext|> dog', 'a dog'])[0]
    assert rows[0].tolist() == rows[1].tolist()


def test_another_order_of_clips_merges_is_another_vocabulary(clips):
    model = json.loads((clips / 'tokenizer.json').read_text('utf-8'))['model']
    change(clips, 'tokenizer.json', model=model | dict(merges=model['merges'][::-1]))
    assert build_tokenizer(str(clips)).vocabulary.name.startswith('another_vocabulary_')


@pytest.mark.parametrize(('file', 'values'), [
    ('tokenizer_config.json', dict(added_tokens_decoder={'49408': dict(content='<sks>')})),
    ('tokenizer_config.json', dict(additional_special_tokens=['<sks>'])),
    ('special_tokens_map.json', dict(additional_special_tokens=[dict(content='<sks>')])),
    ('added_tokens.json', {'<sks>': 49408})])
def test_tokens_that_only_the_settings_add_are_refused(clips, file, values):
    """transformers adds them, at the end of its vocabulary."""
    change(clips, file, **values)
    assert name_of(clips) != 'clip'
    with pytest.raises(UserFileError, match="add the token '<sks>', which it does not have"):
        build_tokenizer(str(clips))


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_for_another_process(tmp_path, copied):
    tokenizer = build_tokenizer(str(write_gemma(tmp_path)), 7)
    sent = copied(tokenizer)
    assert sent.context_length == 7 and sent.vocabulary == tokenizer.vocabulary
    assert torch.equal(sent.tokenize(TEXTS)[0], tokenizer.tokenize(TEXTS)[0])


def test_it_starts_no_threads(tmp_path):
    """Which do not survive a fork: of a data loader, for example."""
    folder = write_gemma(tmp_path)
    code = ('import os, threading\n'
            'from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer\n'
            f'tokenizer = build_tokenizer({str(folder)!r}, 9)\n'
            "before = len(os.listdir('/proc/self/task'))\n"
            "tokenizer.tokenize(['a dog'] * 100)\n"
            "assert len(os.listdir('/proc/self/task')) == before\n")
    subprocess.run([sys.executable, '-c', code], check=True, env=dict(
        os.environ, PYTHONPATH=os.pathsep.join(sys.path)))


@pytest.mark.parametrize(('file', 'values', 'message'), [
    ('tokenizer_config.json', dict(padding_side='left'), "padding_side='left' is not implemented"),
    ('tokenizer_config.json', dict(truncation_side='left'), "truncation_side='left' is not"),
    ('tokenizer_config.json', dict(pad_token='<none>'), "pad_token is '<none>', which is none of"),
    ('tokenizer_config.json', dict(eos_token=['<eos>']), r'eos_token is \[.*, which is none of'),
    ('tokenizer.json', dict(added_tokens=[], model=dict(type='BPE', vocab={}, merges=[])),
     r'pad_token is .<pad>.'),
    ('tokenizer.json', dict(model=3), 'holds no vocabulary'),
    ('tokenizer.json', dict(pre_tokenizer=dict(type='Sandbox')), 'is no tokenizer that can'),
    ('open_clip_config.json', dict(text_cfg=dict(tokenizer_mode='clips')), 'not implemented'),
    ('open_clip_config.json', dict(text_cfg=dict(tokenizer_kwargs=dict(strip_sep_token=True))),
     'tokenizer_kwargs or tokenizer_mode of text_cfg are not implemented'),
    ('open_clip_config.json', dict(model_cfg=3), r'open_clip_config\.json is no config of a CLIP'),
])
def test_what_is_refused(tmp_path, file, values, message):
    folder = change(write_gemma(tmp_path), file, **values)
    with pytest.raises(UserFileError, match=message) as error:
        build_tokenizer(str(folder))
    assert str(tmp_path / file.partition('.')[0]) in str(error.value) or 'token' in message


def test_tokens_drawn_at_random_are_refused(tmp_path):
    folder = write_gemma(tmp_path)
    model = json.loads((folder / 'tokenizer.json').read_text('utf-8'))['model']
    change(folder, 'tokenizer.json', model=model | dict(dropout=0.5))
    with pytest.raises(UserFileError, match=r'its tokens are random \(dropout=0\.5\)'):
        build_tokenizer(str(folder))


@pytest.mark.parametrize('write', [write_gemma, write_xlm_v])
def test_a_token_of_endless_letters_is_refused(tmp_path, write):
    folder = write(tmp_path)
    model = json.loads((folder / 'tokenizer.json').read_text('utf-8'))['model']
    model['vocab'] = ([*model['vocab'], ['a' * 300_000, -9.0]] if isinstance(model['vocab'], list)
                      else model['vocab'] | {'a' * 300_000: len(model['vocab'])})
    change(folder, 'tokenizer.json', model=model)
    with pytest.raises(UserFileError, match='it has a token of 300000 characters'):
        build_tokenizer(str(folder))


def test_an_unknown_word_where_no_token_is_for_these_is_told(tmp_path):
    folder = write_xlm_v(tmp_path)
    model = json.loads((folder / 'tokenizer.json').read_text('utf-8'))['model']
    change(folder, 'tokenizer.json', model=model | dict(unk_id=None))
    tokenizer = build_tokenizer(str(folder))
    with pytest.raises(UserFileError, match=r'tokenizer\.json cannot encode .ⵣ'):
        tokenizer(['ⵣ'])


def test_a_context_without_room(tmp_path):
    with pytest.raises(ValueError, match='context_length must be at least 2'):
        HuggingFaceTokenizer(str(write_xlm_v(tmp_path)), 1)


def test_no_code_of_the_folder_is_run(tmp_path):
    folder = write_gemma(tmp_path, auto_map=dict(AutoTokenizer=['mine.Mine', None]),
                         tokenizer_class='Mine')
    (folder / 'mine.py').write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nclass Mine: pass\n")
    assert build_tokenizer(str(folder), 6).tokenize(['dog'])[0].shape == (1, 6)
    assert not (tmp_path / 'run').exists()


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    for key, value in (node.items() if isinstance(node, dict) else
                       enumerate(node) if isinstance(node, list) else ()):
        yield (*path, key)
        yield from places(value, (*path, key))


@pytest.mark.parametrize('write', [write_gemma, write_xlm_v])
def test_files_changed_at_random_are_used_or_named(tmp_path, write):
    """Nothing else happens: no panic of the library, no other error."""
    folder, draw = write(tmp_path), random.Random(0)
    names = ['tokenizer.json', 'tokenizer_config.json']
    texts = {name: (folder / name).read_text('utf-8') for name in names}
    wrong = [None, -1, 0, 1e300, 2**31, 2**40, 'x', '', [], {}, True, '\ud800', [[]], '<eos>']
    refused = 0
    for _ in range(60):
        for name in names:
            content = json.loads(texts[name])
            content.get('model', {}).pop('vocab', None)  # most places, and all alike
            *path, last = draw.choice(list(places(content)))
            content = node = json.loads(texts[name])
            for key in path:
                node = node[key]
            node[last] = draw.choice(wrong)
            (folder / name).write_text(json.dumps(content))
        try:
            build_tokenizer(str(folder), LENGTH).tokenize(TEXTS)
        except UserFileError as error:
            assert str(folder) in str(error)
            refused += 1
    assert 0 < refused < 60
