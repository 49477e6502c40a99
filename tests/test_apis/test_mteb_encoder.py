"""The encoder on tasks of mteb's own classes: made ones of real clips, and those mteb ships."""

import json
import sys

import numpy as np
import pytest

if sys.version_info < (3, 11):
    pytest.skip('mteb asks for Python 3.11', allow_module_level=True)

import mteb
from datasets import Dataset, Video
from mmengine.config import Config
from mteb.mocks import ALL_MOCK_TASK_TEST_GRID

from tests.mteb_tasks import (
    FILES,
    PATHS,
    TEXTS,
    Find,
    FindByEar,
    FindByVideoAndText,
    Label,
    videos,
)
from tests.tiny_model import (
    CONFIG,
    NAMES,
    build_tiny_model,
    embed_clips,
    read_clip,
    save_tiny_checkpoint,
)
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.mteb_encoder import VideoColumn, evaluate, find_tasks, load_encoder
from tvtsv2_mm.utils.files import file_sha256


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return str(save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth'))


@pytest.fixture(scope='module')
def encoder(checkpoint):
    return load_encoder(checkpoint, device='cpu')


@pytest.fixture(scope='module')
def embeds(checkpoint):
    infer = TVTSv2Inferencer(weights=checkpoint, device='cpu', texts_only=True)
    videos = embed_clips(build_tiny_model(), [read_clip(name) for name in NAMES])
    return dict(text=infer.embed_texts(TEXTS), video=videos)


def ndcg(similarity):
    """Of the one relevant document, the k-th, of the k-th query."""
    ranks = (similarity > similarity.diagonal()[:, None]).sum(1)
    return (1 / np.log2(ranks + 2)).mean()


def test_the_score_of_retrieval(encoder, embeds, tmp_path):
    [result] = evaluate(encoder, [Find()], tmp_path)
    expected = ndcg(embeds['text'] @ embeds['video'].T)
    assert 0 < expected < 1
    assert result.get_score() == pytest.approx(expected, abs=1e-5)


def test_a_video_with_a_text_is_the_sum_of_both(encoder, embeds, tmp_path):
    [result] = evaluate(encoder, [FindByVideoAndText()], tmp_path)
    queries = embeds['video'] + embeds['text'][::-1]
    expected = ndcg(queries @ embeds['text'].T)
    assert expected != ndcg(embeds['video'] @ embeds['text'].T)
    assert result.get_score() == pytest.approx(expected, abs=1e-5)


def test_the_score_of_zero_shot_with_decoding_processes(encoder, embeds, tmp_path):
    [result] = evaluate(encoder, [Label()], tmp_path, batch_size=2, num_workers=2)
    found = (embeds['video'] @ embeds['text'][:2].T).argmax(1)
    assert result.get_score() == pytest.approx((found == [0, 1, 0, 1]).mean())


@pytest.mark.parametrize('task', [
    task for task in ALL_MOCK_TASK_TEST_GRID if 'video' in task.metadata.modalities
    and {*task.metadata.modalities} <= {'video', 'text'}], ids=lambda task: task.metadata.name)
def test_every_kind_of_task_that_mteb_has_for_videos(encoder, tmp_path, task):
    [result] = evaluate(encoder, [task], tmp_path)
    assert 0 <= result.get_score() <= 1


def test_the_folder_is_mtebs(encoder, checkpoint, tmp_path, monkeypatch):
    evaluate(encoder, [Find()], tmp_path)
    digest = file_sha256(checkpoint)
    folder = tmp_path / 'results' / 'tvtsv2_mm__tiny' / digest
    assert json.loads((folder / 'Find.json').read_text())['task_name'] == 'Find'
    meta = json.loads((folder / 'model_meta.json').read_text())
    parts = build_tiny_model()
    expected = dict(
        name='tvtsv2_mm/tiny', revision=digest, modalities=['text', 'video'], embed_dim=64,
        max_tokens=32, similarity_fn_name='cosine', framework=['PyTorch'], license=None,
        open_weights=None, languages=None, training_datasets=None, n_parameters=sum(
            one.numel() for part in (parts.backbone, parts.neck) for one in part.parameters()))
    assert {key: meta[key] for key in expected} == expected
    loaded = mteb.ResultCache(tmp_path).load_results(tasks=[Find()], validate_and_filter=False)
    assert [result.model_name for result in loaded.model_results] == ['tvtsv2_mm/tiny']
    # What is there is not done again.
    monkeypatch.setattr(encoder, 'encode', None)
    [again] = evaluate(encoder, [Find()], tmp_path)
    assert again.task_name == 'Find'
    with pytest.raises(TypeError):
        evaluate(encoder, [Find()], tmp_path, overwrite=True)


def test_what_differs_from_the_checkpoints_own_evaluation_lies_apart(checkpoint, tmp_path):
    encoder = load_encoder(checkpoint, device='cpu', dtype='bfloat16', clips='feature-script',
                           frames='reversed')
    evaluate(encoder, [Find()], tmp_path)
    [file] = tmp_path.rglob('Find.json')
    assert file.parent.name == 'clips_feature-script__dtype_bfloat16__frames_reversed'


def test_another_config_lies_apart(checkpoint, tmp_path):
    names = []
    for mode in ('middle', 'ends'):
        cfg = Config.fromfile(CONFIG)
        cfg.test_dataloader.dataset.pipeline[1].mode = mode
        cfg.dump(tmp_path / f'{mode}.py')
        encoder = load_encoder(checkpoint, str(tmp_path / f'{mode}.py'), device='cpu')
        names.append(encoder.mteb_model_meta.experiment_name)
    assert names[0].startswith('config_') and names[0] != names[1]


def test_what_only_the_user_knows_of_a_model(checkpoint):
    meta = load_encoder(checkpoint, device='cpu', meta=dict(
        name='us/ours', license='apache-2.0', languages=['eng-Latn'])).mteb_model_meta
    assert (meta.name, meta.license, meta.languages) == ('us/ours', 'apache-2.0', ['eng-Latn'])
    assert meta.embed_dim == 64


@pytest.mark.parametrize(('meta', 'told'), [
    (dict(licence='mit'), "mteb's ModelMeta has no licence; it has .*license"),
    (dict(name='ours'), 'organization/model_name'),
])
def test_a_field_that_mteb_does_not_take_is_told(checkpoint, meta, told):
    with pytest.raises(ValueError, match=told):
        load_encoder(checkpoint, device='cpu', meta=meta)


def test_a_checkpoint_elsewhere_is_refused():
    with pytest.raises(ValueError, match=r'is not on this machine: .* fetch it first'):
        load_encoder('http://localhost/tiny.pth', device='cpu')


def test_a_task_for_ears_is_refused(encoder, tmp_path):
    with pytest.raises(ValueError, match=r'tvtsv2_mm/tiny supports .*FindByEar'):
        evaluate(encoder, [FindByEar()], tmp_path)


@pytest.mark.parametrize(('file', 'error', 'told'), [
    (dict(path='gone.mp4'), RuntimeError, '^gone.mp4: there is no such file'),
    (dict(bytes=b'no video'), RuntimeError, '^bytes 1: '),
])
def test_a_video_that_cannot_be_read_ends_the_evaluation(encoder, tmp_path, file, error, told):
    task = Find()
    task.corpus = videos([FILES[0], file, *FILES[2:]])
    with pytest.raises(error, match=told):
        evaluate(encoder, [task], tmp_path)
    assert [*tmp_path.rglob('Find.json')] == []


def test_a_sample_without_a_video_is_named():
    samples = Dataset.from_dict(dict(video=[FILES[0], None])).cast_column('video', Video())
    column = VideoColumn(samples)
    assert column[0] == PATHS[0]
    with pytest.raises(ValueError, match=r'^sample 1 of the data set has no video'):
        column[1]


def test_tasks_and_benchmarks_by_name():
    [task, *rest] = find_tasks(['MSVDT2VRetrieval', 'MVEB(text, video)', 'MSVDT2VRetrieval'])
    assert task.metadata.name == 'MSVDT2VRetrieval'
    names = [one.metadata.name for one in rest]
    assert {'VATEXT2VRetrieval', 'UCF101VideoZeroShotClassification'} <= {*names}
    assert len(names) == len({*names} - {'MSVDT2VRetrieval'})


def test_an_unknown_task_is_told_with_the_closest():
    with pytest.raises(ValueError, match=r'no task and no benchmark .*MSVDT2VRetrieval'):
        find_tasks(['MSVDT2VRetrival'])
