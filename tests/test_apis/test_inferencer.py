import functools
import http.server
import itertools
import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.image import imread

from tests.tiny_model import (
    CONFIG,
    NAMES,
    VIDEOS,
    build_tiny_model,
    embed_clips,
    read_clip,
    save_tiny_checkpoint,
)
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer, best_order
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.convert import convert_names
from tvtsv2_mm.checkpoints.layouts import RELEASE
from tvtsv2_mm.registry import INFERENCERS
from tvtsv2_mm.utils.tokenizer import ClipTokenizer

TEXTS = ['a drawing', 'people in a room', 'a man speaks']
PATHS = [str(VIDEOS / name) for name in NAMES]


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.fixture(scope='module')
def infer(checkpoint):
    return TVTSv2Inferencer(weights=checkpoint, device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def model():
    return build_tiny_model()


@pytest.fixture(scope='module')
def expected(model):
    return embed_clips(model, [read_clip(name) for name in NAMES])


@torch.no_grad()
def embed_texts(model, texts):
    tokens = ClipTokenizer(32)(texts)
    return F.normalize(torch.cat([model.neck(row[None]) for row in tokens]), dim=-1).numpy()


def features(result):
    return np.stack([prediction['features'] for prediction in result['predictions']])


@pytest.mark.parametrize('options', [
    dict(batch_size=1), dict(batch_size=3), dict(batch_size=2, num_workers=2)])
def test_features_of_a_folder_are_the_plain_models(infer, expected, options):
    result = infer(str(VIDEOS), **options)
    assert [prediction['video'] for prediction in result['predictions']] == PATHS
    assert result['visualization'] is None
    assert result['failed'] == []
    np.testing.assert_allclose(features(result), expected, atol=1e-5)


def test_features_tell_the_order_of_time(infer):
    clip = read_clip('part_0.mp4')
    forward, backward = features(infer([clip, clip[::-1]]))
    assert np.abs(forward - backward).max() > 1e-3


def test_features_of_frames_otherwise(checkpoint, model):
    """As of the clips made by hand; an array is a video too."""
    clip = read_clip('part_0.mp4')

    def found(frames):
        infer = TVTSv2Inferencer(weights=checkpoint, device='cpu', show_progress=False,
                                 frames=frames)
        return features(infer(PATHS[NAMES.index('part_0.mp4')])), features(infer([clip]))

    middle = (len(clip) - 1) // 2
    for frames, shown in (('natural', clip), ('reversed', clip[::-1].copy()),
                          ('constant', clip[[middle] * len(clip)]), ('single', clip[[middle]])):
        for own in found(frames):
            np.testing.assert_allclose(own, embed_clips(model, [shown]), atol=1e-5)
    with pytest.raises(ValueError, match=r"frames must be one of .*, not 'even'"):
        found('even')


def test_arrays_addresses_and_lists(infer, model, expected):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(VIDEOS))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = infer([VIDEOS / NAMES[0], f'file://{VIDEOS}/{NAMES[2]}', read_clip(NAMES[1]),
                        f'http://127.0.0.1:{server.server_port}/{NAMES[3]}'])
        server.shutdown()
    np.testing.assert_allclose(features(result), expected[[0, 2, 1, 3]], atol=1e-5)

    large = np.repeat(np.repeat(read_clip(NAMES[1]), 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(features(infer(large))[0], expected[1], atol=1e-5)
    short = read_clip(NAMES[1])[:3]
    filled = np.concatenate([short, short[[-1] * 5]])
    np.testing.assert_allclose(features(infer(short)), embed_clips(model, [filled]), atol=1e-5)


def test_bytes_of_files(infer, expected):
    files = [(VIDEOS / name).read_bytes() for name in NAMES[:2]]
    result = infer([*files, b'no video'], skip_failed=True)
    np.testing.assert_allclose(features(result), expected[:2], atol=1e-5)
    assert [failure['video'] for failure in result['failed']] == ['bytes 2']
    np.testing.assert_allclose(features(infer(files[1])), expected[1:2], atol=1e-5)


def test_videos_are_asked_for_when_their_turn_comes(infer, expected, monkeypatch):
    events = []

    class Corpus(Sequence):
        def __len__(self):
            return len(PATHS)

        def __getitem__(self, index):
            events.append(index)
            return PATHS[index]

    forward = infer.model.test_step
    monkeypatch.setattr(infer.model, 'test_step',
                        lambda batch: events.append('model') or forward(batch))
    np.testing.assert_allclose(infer.embed_videos(Corpus(), batch_size=2), expected, atol=1e-5)
    assert events == [0, 1, 'model', 2, 3, 'model']


def test_zero_shot(infer, model, expected):
    prompts = ['{}', 'a film of {}']
    result = infer(PATHS, task='zero-shot', labels=TEXTS, prompts=prompts, top_k=2)
    classes = np.stack([embed_texts(model, [p.format(label) for p in prompts]).mean(axis=0)
                        for label in TEXTS])
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    for prediction, cosines in zip(result['predictions'], expected @ classes.T, strict=True):
        order = sorted(range(3), key=lambda i: -cosines[i])[:2]
        assert prediction['labels'] == [TEXTS[i] for i in order]
        np.testing.assert_allclose(prediction['scores'], cosines[order], atol=1e-5)
        shares = torch.tensor(cosines / 0.05).softmax(0).numpy()
        np.testing.assert_allclose(prediction['probabilities'], shares[order], atol=1e-4)


def test_retrieval(infer, model, expected):
    result = infer(str(VIDEOS), task='retrieval', texts=TEXTS, top_k=3)
    similarity = expected @ embed_texts(model, TEXTS).T
    np.testing.assert_allclose(result['similarity'], similarity, atol=1e-5)
    assert result['videos'] == PATHS
    for prediction, text, column in zip(result['predictions'], TEXTS, similarity.T, strict=True):
        order = np.argsort(-column)[:3]
        assert prediction['text'] == text
        assert prediction['videos'] == [PATHS[i] for i in order]
        np.testing.assert_allclose(prediction['scores'], column[order], atol=1e-5)


def test_sort(infer, model):
    """One list for each video; the same answer in whatever order the transcripts are given."""
    texts = [*TEXTS, 'colours']
    shuffled = [texts[i] for i in (2, 0, 3, 1)]
    result = infer(PATHS[1:3], task='sort', transcripts=[texts, shuffled])
    for prediction, given, name in zip(result['predictions'], (texts, shuffled), NAMES[1:3],
                                       strict=True):
        with torch.no_grad():
            pixels = torch.from_numpy(read_clip(name)).permute(0, 3, 1, 2).float()
            batch = model.data_preprocessor(dict(inputs=dict(video=[pixels.byte()])))
            _, tokens = model.backbone(batch['inputs']['video'])
            logits = model.sorting_head(tokens, model.neck(ClipTokenizer(32)(given))[None])[0]
        np.testing.assert_allclose(prediction['logits'], logits, atol=1e-5)
        best = max(itertools.permutations(range(4)),
                   key=lambda order: sum(logits[k, j] for j, k in enumerate(order)))
        assert prediction['order'] == list(best)
        assert prediction['transcripts'] == [given[k] for k in best]
    with pytest.warns(UserWarning, match='1 of 4 texts are longer than the context of 32'):
        infer(PATHS[1], task='sort', transcripts=[*texts[:3], 'word ' * 50], num_workers=1)
    twice = infer([PATHS[1]] * 2, task='sort', transcripts=[texts, shuffled])['predictions']
    assert twice[0]['transcripts'] == twice[1]['transcripts']
    assert twice[0]['order'] != twice[1]['order']


def test_best_order_is_an_assignment():
    logits = np.full((3, 3), -9.0)
    for place, transcript in enumerate((2, 0, 1)):
        logits[transcript, place] = 1
    assert best_order(logits) == [2, 0, 1]


@pytest.mark.parametrize(('task', 'words', 'count'), [
    ('zero-shot', dict(labels=['a $5 bill', 'b']), 2), ('retrieval', dict(texts=['a/b']), 1),
    ('sort', dict(transcripts=list('abcd')), 2)])
def test_pictures(infer, tmp_path, task, words, count):
    result = infer(PATHS[:2], task=task, out_dir=tmp_path / 'pictures', **words)
    files = sorted((tmp_path / 'pictures').iterdir())
    assert len(files) == len(result['visualization']) == count
    for file, image in zip(files, result['visualization'], strict=True):
        assert image.dtype == np.uint8
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100
        np.testing.assert_allclose(imread(file)[..., :3], image / 255, atol=1e-3)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_lower_precision_is_near_and_float32_outside(checkpoint, expected, dtype):
    infer = TVTSv2Inferencer(CONFIG, str(checkpoint), device='cpu', dtype=dtype,
                             show_progress=False)
    found = features(infer(str(VIDEOS)))
    assert found.dtype == np.float32
    assert 1e-7 < np.abs(found - expected).max() < 0.05


def test_a_release_checkpoint_with_a_config(tmp_path, model, expected):
    release, unused = convert_names(model.state_dict(), RELEASE, to_foreign=True)
    assert not unused
    torch.save(dict(state_dict={f'module.{key}': value for key, value in release.items()}),
               tmp_path / 'TVTSv2_tiny.pth')
    infer = TVTSv2Inferencer(CONFIG, tmp_path / 'TVTSv2_tiny.pth', device='cpu',
                             show_progress=False)
    np.testing.assert_allclose(features(infer(PATHS)), expected, atol=1e-5)


def test_a_corrupt_video_is_named_or_listed(infer, tmp_path):
    broken = tmp_path / 'broken.mp4'
    broken.write_text('no video')
    with pytest.raises(RuntimeError, match=r'broken\.mp4'):
        infer([PATHS[0], str(broken)])
    result = infer([PATHS[0], str(broken), PATHS[1]], skip_failed=True)
    assert [prediction['video'] for prediction in result['predictions']] == PATHS[:2]
    [failure] = result['failed']
    assert failure['video'] == str(broken)


def test_datasamples_and_the_registry(checkpoint):
    infer = INFERENCERS.build(dict(type='TVTSv2Inferencer', weights=str(checkpoint), device='cpu',
                                   show_progress=False))
    [sample] = infer(PATHS[0], return_datasamples=True)['predictions']
    assert sample.filename == PATHS[0]
    assert sample.video_embed.shape == (64, )


@pytest.mark.parametrize(('inputs', 'words', 'message'), [
    (PATHS[0], dict(task='caption'), "task must be one of .*'caption'"),
    (PATHS[0], dict(task='zero-shot'), 'needs labels'),
    (PATHS[0], dict(task='zero-shot', labels='a'), 'labels must be a list'),
    (PATHS[0], dict(task='zero-shot', labels=['a', 'b', 'a']), "'a' more than once"),
    (PATHS[0], dict(task='zero-shot', labels=['a'], prompts=['x']), 'exactly one'),
    (PATHS[0], dict(task='retrieval'), 'needs texts'),
    (PATHS[0], dict(task='sort'), 'needs transcripts'),
    (PATHS[0], dict(task='sort', transcripts=['a', 'b']), 'sorts 4 transcripts, got 2'),
    (PATHS[0], dict(task='sort', transcripts=[list('abcd')] * 2), '2 videos, but 1'),
    (PATHS[0], dict(batch_size=0), 'batch_size'),
    ([], {}, 'empty'),
    (np.zeros((2, 3, 64, 64), np.uint8), {}, r'uint8 \(T, H, W, 3\)'),
])
def test_one_clear_error(infer, inputs, words, message):
    with pytest.raises(ValueError, match=message):
        infer(inputs, **words)


def test_what_a_checkpoint_lacks_begins_as_it_should(checkpoint, tmp_path):
    whole = torch.load(checkpoint, weights_only=True)
    whole['state_dict'] = {key: value for key, value in whole['state_dict'].items()
                           if not key.startswith('sorting_head.')}
    torch.save(whole, tmp_path / 'part.pth')
    torch.manual_seed(0)
    model = TVTSv2Inferencer(weights=str(tmp_path / 'part.pth'), device='cpu').model
    assert model.load_report['new']
    for key, value in model.state_dict().items():
        if key.startswith('sorting_head.'):
            # As it is drawn, or as norms and biases begin: not what lay in memory.
            assert value.abs().max() < 2 and (value.ndim == 1 or value.std() > 1e-3), key
        else:
            assert torch.equal(value, whole['state_dict'][key]), key


def test_the_text_encoder_alone(infer, checkpoint):
    alone = TVTSv2Inferencer(weights=checkpoint, device='cpu', texts_only=True)
    assert {name.split('.')[0] for name, _ in alone.model.named_parameters()} == {'neck'}
    np.testing.assert_array_equal(alone.embed_texts(TEXTS), infer.embed_texts(TEXTS))
    with pytest.raises(ValueError, match='texts_only'):
        alone(PATHS[0])


@pytest.fixture
def broken(checkpoint):
    infer = TVTSv2Inferencer(weights=checkpoint, device='cpu', show_progress=False)
    weight = infer.model.backbone.positional_embedding
    with torch.no_grad():
        weight[1] = float('nan')
    return infer


@pytest.mark.parametrize(('task', 'words'), [
    ('features', {}), ('zero-shot', dict(labels=TEXTS)), ('retrieval', dict(texts=TEXTS)),
    ('sort', dict(transcripts=list('abcd')))])
def test_nan_ranks_nothing(broken, task, words):
    with pytest.raises(RuntimeError, match=r'example\.mp4: its embedding is not finite'):
        broken(PATHS[0], task=task, **words)
    result = broken(PATHS[:2], task=task, skip_failed=True, **words)
    assert [failure['video'] for failure in result['failed']] == PATHS[:2]


def test_texts_that_are_nan(checkpoint):
    infer = TVTSv2Inferencer(weights=checkpoint, device='cpu', show_progress=False)
    infer.model.neck.clip.text_projection.weight.data.fill_(float('nan'))
    with pytest.raises(ValueError, match='embeddings of texts are not finite'):
        infer(PATHS[0], task='zero-shot', labels=TEXTS)


def test_an_order_at_random_is_refused(tmp_path):
    weights = {key: value for key, value in build_tiny_model().state_dict().items()
               if not key.startswith('sorting_head')}
    torch.save(dict(state_dict=weights), tmp_path / 'clip.pth')
    infer = TVTSv2Inferencer(str(CONFIG), tmp_path / 'clip.pth', device='cpu', show_progress=False)
    with pytest.raises(ValueError, match='checkpoint has no sorting_head'):
        infer(PATHS[0], task='sort', transcripts=list('abcd'))


def test_errors_of_the_constructor(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        TVTSv2Inferencer(weights='nowhere.pth')
    with pytest.raises(ValueError, match='dtype'):
        TVTSv2Inferencer(weights='nowhere.pth', dtype='int8')
    with pytest.raises(ValueError, match='weights are needed'):
        TVTSv2Inferencer(str(CONFIG))
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='unknown checkpoint layout'):
        TVTSv2Inferencer(weights=tmp_path / 'a.pth')
