import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from sentence_transformers import SentenceTransformer

from tests.hugging_face_models import make_folder
from tests.tiny_model import (
    CONFIG,
    NAMES,
    VIDEOS,
    build_tiny_model,
    embed_clips,
    read_clip,
    save_tiny_checkpoint,
)
from tests.tiny_tokenizers import write_gemma
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.sentence_transformer import VideoTextModule, sentence_transformer
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.tokenizer_files import name_of

PATHS = [str(VIDEOS / name) for name in NAMES]
TEXTS = ['a drawing.', 'people in a room']


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.fixture(scope='module')
def model(checkpoint):
    return sentence_transformer(checkpoint, device='cpu', prompts=dict(query='a video of '))


@pytest.fixture(scope='module')
def videos():
    return embed_clips(build_tiny_model(), [read_clip(name) for name in NAMES])


@pytest.fixture(scope='module')
def embed_texts(checkpoint):
    return TVTSv2Inferencer(weights=checkpoint, device='cpu', texts_only=True).embed_texts


def test_texts_and_paths_in_one_list(model, videos, embed_texts):
    inputs = [TEXTS[0], *PATHS, TEXTS[1], Path(PATHS[0]), Path(PATHS[1]).read_bytes()]
    embeds = model.encode(inputs, batch_size=3)
    assert embeds.dtype == np.float32
    texts = embed_texts(TEXTS)
    np.testing.assert_allclose(
        embeds, [texts[0], *videos, texts[1], *videos[:2]], atol=1e-5)
    np.testing.assert_allclose(model.encode(PATHS[2]), videos[2], atol=1e-5)


def test_frames_in_either_order_of_axes(model, videos):
    clip = read_clip(NAMES[0])
    for frames in (clip, clip.transpose(0, 3, 1, 2), torch.from_numpy(clip).permute(0, 3, 1, 2)):
        np.testing.assert_allclose(model.encode(frames), videos[0], atol=1e-5)


def test_named_parts_leave_nothing_to_guess(model, videos, embed_texts):
    [text] = embed_texts([PATHS[0]])
    both = text + videos[0]
    embeds = model.encode([dict(text=PATHS[0]), dict(video=PATHS[0]),
                           dict(text=PATHS[0], video=PATHS[0])])
    np.testing.assert_allclose(embeds, [text, videos[0], both / np.linalg.norm(both)], atol=1e-5)


@pytest.mark.parametrize('text', ['It ends.', 'look at holiday.mp4', 'no.suffix', ''])
def test_what_is_a_text(model, embed_texts, text):
    np.testing.assert_allclose(model.encode([text]), embed_texts([text]), atol=1e-5)


def test_a_path_with_blanks(model, videos, tmp_path):
    path = tmp_path / 'a long name.mp4'
    path.write_bytes(Path(PATHS[0]).read_bytes())
    np.testing.assert_allclose(model.encode([str(path)]), videos[:1], atol=1e-5)


def test_prompts_go_before_texts_alone(model, videos, embed_texts):
    queries = model.encode_query(['a dog', PATHS[0]])
    np.testing.assert_allclose(queries, [embed_texts(['a video of a dog'])[0], videos[0]],
                               atol=1e-5)
    documents = model.encode_document([PATHS[0], 'a dog'])
    np.testing.assert_allclose(documents, [videos[0], embed_texts(['a dog'])[0]], atol=1e-5)


def test_what_others_ask_of_it(model, videos):
    assert isinstance(model, SentenceTransformer)
    assert model.get_embedding_dimension() == 64
    assert model.max_seq_length == 32
    embeds = model.encode(PATHS, convert_to_tensor=True, normalize_embeddings=True,
                          show_progress_bar=False)
    assert isinstance(embeds, torch.Tensor)
    np.testing.assert_allclose(model.similarity(embeds, embeds), videos @ videos.T, atol=1e-5)
    assert model.encode(PATHS[:1], truncate_dim=8).shape == (1, 8)


@pytest.mark.parametrize(('given', 'told'), [
    (3, 'or the path, bytes or frames of a video, not a int'),
    (dict(text=3), 'or the path, bytes or frames of a video, not a int'),
    (dict(sound='a'), r'or dict\(text=..., video=...\), not a dict with sound'),
    ([dict(role='user', content='a')], 'not a list'),
    (np.zeros((2, 8, 8, 3)), 'array 0: a video array must be uint8 .* got float64'),
])
def test_another_input_is_refused(model, given, told):
    with pytest.raises(ValueError, match=told):
        model.encode([given])


@pytest.mark.parametrize('name', ['no_such.mp4', Path('no_such')])
def test_a_video_that_is_not_there_is_named(model, name):
    with pytest.raises(UserFileError, match=f'^{name}: there is no such file'):
        model.encode(['a text', name])


def test_what_is_saved_loads_by_its_folder_alone(checkpoint, embed_texts, tmp_path):
    own = sentence_transformer(checkpoint, device='cpu', clips='feature-script',
                               prompts=dict(query='a video of '))
    own.save(str(tmp_path / 'folder'))
    loaded = SentenceTransformer(str(tmp_path / 'folder'), trust_remote_code=True, device='cpu')
    inputs = [PATHS[0], 'a dog']
    np.testing.assert_array_equal(loaded.encode(inputs), own.encode(inputs))
    np.testing.assert_allclose(loaded.encode_query('a dog'), embed_texts(['a video of a dog'])[0],
                               atol=1e-5)
    other = SentenceTransformer(str(tmp_path / 'folder'), trust_remote_code=True, device='cpu',
                                model_kwargs=dict(clips='protocol'))
    assert np.abs(other.encode(PATHS[0]) - own.encode(PATHS[0])).max() > 1e-3
    [module] = json.loads((tmp_path / 'folder' / 'modules.json').read_text())
    assert module['type'] == f'{VideoTextModule.__module__}.VideoTextModule'


def test_a_folder_without_weights_is_named(checkpoint, tmp_path):
    sentence_transformer(checkpoint, device='cpu').save(str(tmp_path))
    (tmp_path / 'tvtsv2_mm.pth').unlink()
    with pytest.raises(FileNotFoundError, match=f'^{tmp_path} has no .*tvtsv2_mm.pth'):
        SentenceTransformer(str(tmp_path), trust_remote_code=True, device='cpu')


def test_another_tokenizer_is_saved_too(tmp_path):
    folder = write_gemma(tmp_path / 'tokenizer')
    cfg = Config(dict(model=dict(
        type='VideoTextModel',
        backbone=dict(type='SpaceTimeViT', image_size=32, patch_size=8, width=48, layers=1, heads=3,
                      embed_dim=32, num_frames=2),
        neck=dict(type='PartiallyFrozenSiglipTextEncoder', width=32, layers=2, heads=2,
                  embed_dim=32, frozen_layers=1, vocab_size=400, context_length=12,
                  tokenizer=name_of(folder)))))
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        weights = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=weights, meta=dict(cfg=cfg.pretty_text)), tmp_path / 'other.pth')
    own = sentence_transformer(tmp_path / 'other.pth', device='cpu', tokenizer=folder)
    own.save(str(tmp_path / 'saved'))
    shutil.rmtree(folder)
    loaded = SentenceTransformer(str(tmp_path / 'saved'), trust_remote_code=True, device='cpu')
    np.testing.assert_array_equal(loaded.encode(TEXTS), own.encode(TEXTS))


def test_a_model_without_texts(checkpoint, videos, tmp_path):
    cfg = Config.fromfile(CONFIG)
    cfg.model.neck = cfg.model.sorting_head = None
    weights = {key: value for key, value in torch.load(checkpoint)['state_dict'].items()
               if not key.startswith(('neck.', 'sorting_head.'))}
    torch.save(dict(state_dict=weights, meta=dict(cfg=cfg.pretty_text)), tmp_path / 'alone.pth')
    model = sentence_transformer(tmp_path / 'alone.pth', device='cpu')
    np.testing.assert_allclose(model.encode(PATHS), videos, atol=1e-5)
    with pytest.raises(ValueError, match='texts cannot be encoded: the model config has no neck'):
        model.encode('a text')


def test_the_data_preprocessor_moves_along(checkpoint):
    model = sentence_transformer(checkpoint, device='cpu')
    model.to('meta')
    assert model[0].model.data_preprocessor.device.type == 'meta'


def test_other_processes_can_have_it(model):
    """As SentenceTransformer's pools of processes need."""
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.encode(TEXTS), model.encode(TEXTS))


@pytest.mark.parametrize(('dtype', 'within'), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_weights_of_half_the_width(checkpoint, dtype, within):
    """By the casts of every module, and by the options of sentence-transformers."""
    model = sentence_transformer(checkpoint, device='cpu')
    inputs = [TEXTS[0], PATHS[0]]
    expected = model.encode(inputs)
    mean = model[0].model.data_preprocessor.mean.clone()
    embeds = model.to(dtype).encode(inputs)
    assert embeds.dtype == np.float32
    np.testing.assert_allclose(embeds, expected, atol=within)
    torch.testing.assert_close(model[0].model.data_preprocessor.mean, mean, rtol=0, atol=0)
    np.testing.assert_allclose(model.float().encode(inputs), expected, atol=within)
    assert model[0].inferencer.dtype == torch.float32


@pytest.mark.parametrize('given', [
    dict(dtype=torch.bfloat16), dict(torch_dtype=torch.bfloat16), dict(torch_dtype='bfloat16'),
    dict(dtype='auto')])
def test_a_dtype_may_be_given_as_to_transformers(checkpoint, tmp_path, given):
    sentence_transformer(checkpoint, device='cpu', dtype='bfloat16').save(str(tmp_path))
    for saved in ('bfloat16', 'float16'):
        (tmp_path / 'tvtsv2_mm.json').write_text(json.dumps(dict(dtype=saved, clips='protocol')))
        model = SentenceTransformer(str(tmp_path), trust_remote_code=True, device='cpu',
                                    model_kwargs=given)
        told = saved if 'auto' in given.values() else 'bfloat16'
        assert model[0].inferencer.dtype == getattr(torch, told)


def test_half_a_character_is_told(model):
    with pytest.raises(ValueError, match=r"^the text 'a \\ud800' is no Unicode: .*'replace'"):
        model.encode(['a \ud800'])


def test_what_it_does_not_give_is_told(model):
    assert 'sentence_embedding' in model.encode(TEXTS, output_value=None)[0]
    with pytest.raises(ValueError, match=r"^'token_embeddings' is not given by this"):
        model.encode(TEXTS, output_value='token_embeddings')


def test_a_folder_is_no_video(model, tmp_path):
    with pytest.raises(UserFileError, match=f'^{tmp_path}: this is a folder, not a file'):
        model.encode([tmp_path])


def test_what_cannot_be_saved_leaves_nothing(tmp_path):
    make_folder(tmp_path, 'clip')
    own = sentence_transformer(tmp_path, device='cpu')
    for save in (own.save, own.save_pretrained):
        with pytest.raises(ValueError, match=f'^the model of {tmp_path} cannot be saved .* not '
                           f'SpaceTimeViT.*. Keep {tmp_path}, of which sentence_transformer'):
            save(str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()


def test_what_is_saved_is_read_here_too(checkpoint, tmp_path):
    own = sentence_transformer(checkpoint, device='cpu', clips='feature-script', truncate_dim=8,
                               prompts=dict(query='a video of '))
    own.save(str(tmp_path))
    assert (tmp_path / 'README.md').read_text().count('# SentenceTransformer\n')
    # What the library would import.
    (tmp_path / 'modules.json').write_text('[{"type": "evil.Module"}]')
    loaded = sentence_transformer(tmp_path, device='cpu')
    np.testing.assert_array_equal(loaded.encode(PATHS[:1]), own.encode(PATHS[:1]))
    np.testing.assert_array_equal(loaded.encode_query('a dog'), own.encode_query('a dog'))
    other = sentence_transformer(tmp_path, device='cpu', clips='protocol', truncate_dim=4)
    assert other[0].clips == 'protocol' and other.encode('a').shape == (4, )
    again = tmp_path / 'again'
    loaded.save(str(again))
    np.testing.assert_array_equal(sentence_transformer(again, device='cpu').encode('a'),
                                  own.encode('a'))
