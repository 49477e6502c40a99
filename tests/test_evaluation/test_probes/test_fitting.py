import json

import numpy as np
import pytest
import torch

from tvtsv2_mm.evaluation.probes import FeatureCache, fit_probe, read_cache, write_cache
from tvtsv2_mm.evaluation.probes.cache import pool_tokens


def make_cache(val=True, tokens_only=False):
    """Three classes, told by the embedding, or by the third frame alone."""
    rng = np.random.default_rng(0)
    centres = 3 * np.eye(3, 8)
    cache = FeatureCache(fields=dict(protocol='linear-probe', benchmark='HMDB51', splits=dict(
        test=dict(sha256='abc'))))
    for split, count in dict(train=60, val=15, test=30).items():
        if split == 'val' and not val:
            continue
        labels = np.arange(count) % 3
        embeds = rng.normal(size=(count, 8))
        frames = rng.normal(size=(count, 4, 8))
        if tokens_only:
            frames[:, 2] += 2 * centres[labels]
        else:
            embeds += centres[labels]
        cache.embeds[split] = embeds.astype(np.float16)
        cache.tokens[split] = frames.astype(np.float16)
        cache.labels[split] = labels
        cache.names[split] = np.array([f'{split}/{i}.mp4' for i in range(count)], '<U20')
    return cache


def test_logistic_equals_an_independent_fit():
    cache = make_cache()
    result = fit_probe(cache, 'logistic', values=(0.1, ))
    # Multinomial logistic regression by plain gradient descent on the same objective.
    x = np.concatenate([cache.embeds['train'], cache.embeds['val']]).astype(np.float64)
    y = torch.from_numpy(np.concatenate([cache.labels['train'], cache.labels['val']]))
    mean, std = x.mean(axis=0), x.std(axis=0)
    x = torch.from_numpy((x - mean) / std)
    weight = torch.zeros(3, 8, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        loss = (0.1 * torch.nn.functional.cross_entropy(x @ weight.t() + bias, y, reduction='sum')
                + weight.square().sum() / 2)
        loss.backward()
        return loss

    optimizer.step(closure)
    test = torch.from_numpy((cache.embeds['test'].astype(np.float64) - mean) / std)
    guess = (test @ weight.t() + bias).argmax(dim=1).numpy()
    expected = 100 * (guess == cache.labels['test']).mean()
    assert expected > 70
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(expected)


def test_knn_equals_a_plain_computation():
    cache = make_cache()
    result = fit_probe(cache, 'knn', values=(1, ))
    x = np.concatenate([cache.embeds['train'], cache.embeds['val']]).astype(np.float64)
    y = np.concatenate([cache.labels['train'], cache.labels['val']])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    hits = [y[np.argmax(x @ own)] == label for own, label in zip(
        cache.embeds['test'].astype(np.float64), cache.labels['test'], strict=True)]
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(100 * np.mean(hits))


def test_the_attentive_probe_finds_what_only_a_frame_tells():
    cache = make_cache(tokens_only=True)
    attentive = fit_probe(cache, 'attentive', values=(0.1, ))
    logistic = fit_probe(cache, 'logistic', values=(1.0, ))
    assert attentive['metrics']['raw']['acc/top1'] > 80
    assert logistic['metrics']['raw']['acc/top1'] < 60
    again = fit_probe(cache, 'attentive', values=(0.1, ))
    assert again['metrics'] == attentive['metrics']


def test_the_setting_is_chosen_on_the_validation_split():
    cache = make_cache()
    result = fit_probe(cache, 'knn', values=(1, 75))
    assert result['probe']['validation'] == 'the validation split'
    scores = result['probe']['val_top1']
    assert result['probe']['chosen'] == max((1, 75), key=lambda v: scores[str(v)])
    cache.labels['test'] = (cache.labels['test'] + 1) % 3
    assert fit_probe(cache, 'knn', values=(1, 75))['probe'] == result['probe']


def test_a_part_of_training_serves_as_validation():
    result = fit_probe(make_cache(val=False), 'knn')
    assert result['probe']['validation'] == (
        '12 of 60 training videos, drawn with seed 0, stratified')
    assert result['probe']['fitted_on'] == 60
    assert result['split'] == dict(sha256='abc')
    assert (result['protocol'], result['benchmark']) == ('linear-probe', 'HMDB51')


def same_names(cache):
    cache.names['test'][3] = './train/0.mp4'


def same_file(cache):
    cache.fields['splits']['train'] = cache.fields['splits']['test']


def same_features(cache):
    """Of a cache that was made without names."""
    cache.names.clear()
    cache.embeds['test'] = cache.embeds['train'][:30]


def val_is_test(cache):
    cache.names['val'] = cache.names['test'][:15]


def nan(cache):
    cache.embeds['val'][2, 3] = np.nan


def empty(cache):
    keep(cache, 'val', slice(0, 0))


@pytest.mark.parametrize(('spoil', 'message'), [
    (empty, 'has no val split'),
    (nan, 'features of the val split hold NaN'),
    (same_names, r'1 videos are in the train and in the test split, such as train/0\.mp4'),
    (same_file, 'train and the test split have the same annotation file'),
    (same_features, 'all 30 test videos have the features of training videos'),
    (val_is_test, '15 videos are in the val and in the test split')])
def test_no_figure_of_spoilt_splits(spoil, message):
    """Of those, above all, that hold what the probe is trained on."""
    cache = make_cache()
    spoil(cache)
    with pytest.raises(ValueError, match=message):
        fit_probe(cache, 'knn')


def test_copies_under_other_names_are_told():
    cache = make_cache()
    cache.embeds['test'][:2] = cache.embeds['train'][:2]
    cache.names.clear()
    with pytest.warns(UserWarning, match='2 of 30 test videos have the features of a training'):
        result = fit_probe(cache, 'knn')
    assert 'names no videos' in result['probe']['warnings'][0]
    assert len(result['probe']['warnings']) == 2


def keep(cache, split, kept):
    for kind in ('embeds', 'tokens', 'labels', 'names'):
        getattr(cache, kind)[split] = getattr(cache, kind)[split][kept]


def test_a_choice_on_few_videos_is_told():
    cache = make_cache()
    assert fit_probe(cache, 'knn')['probe']['warnings'] == []
    keep(cache, 'val', slice(0, 1))
    with pytest.warns(UserWarning, match='neighbours was chosen on 1 videos, with none of 2 of'):
        told = fit_probe(cache, 'knn')['probe']['warnings']
    assert len(told) == 1
    assert fit_probe(cache, 'knn', values=(5, ))['probe']['warnings'] == []  # nothing was chosen
    cache = make_cache()
    keep(cache, 'val', cache.labels['val'] != 2)
    with pytest.warns(UserWarning, match='chosen on 10 videos, with none of 1 of the 3 classes'):
        fit_probe(cache, 'knn')


def test_classes_without_a_training_video_are_told():
    cache = make_cache()
    for split in ('train', 'val'):
        keep(cache, split, cache.labels[split] != 2)
    with pytest.warns(UserWarning, match='10 of 30 test videos have a class that no training'):
        result = fit_probe(cache, 'logistic', values=(1.0, ))
    assert result['metrics']['raw']['acc/top1'] < 67


def test_ties_give_chance_and_top_5_of_5_is_left_out():
    """One neighbour leaves all classes but one with nothing: they do not come by their number."""
    cache = make_cache()
    assert set(fit_probe(cache, 'knn')['metrics']['raw']) == {'acc/top1'}
    rng = np.random.default_rng(0)
    for split, labels in cache.labels.items():
        cache.labels[split] = np.arange(len(labels)) % 10
        cache.embeds[split] = rng.normal(size=(len(labels), 8)).astype(np.float16)
    figures = fit_probe(cache, 'knn', values=(1, ))['metrics']['raw']
    # What is not the neighbour's class is among the four of nine that follow it by chance.
    expected = figures['acc/top1'] + (100 - figures['acc/top1']) * 4 / 9
    assert figures['acc/top5'] == pytest.approx(expected)


def test_cache_file(tmp_path):
    cache = make_cache()
    write_cache(tmp_path / 'features.npz', cache)
    again = read_cache(tmp_path / 'features.npz')
    assert again.fields == json.loads(json.dumps(cache.fields))
    for kind in ('embeds', 'tokens', 'labels', 'names'):
        for split, array in getattr(cache, kind).items():
            np.testing.assert_array_equal(getattr(again, kind)[split], array)


@pytest.mark.parametrize('class_tokens', [0, 1])
def test_pool_tokens(class_tokens):
    """Two clips of two frames of 4 x 4 patches; the token is its own number."""
    patches = torch.arange(2 * 2 * 16.0).view(2, 32, 1)
    tokens = torch.cat([torch.full((2, class_tokens, 1), 1e6), patches], dim=1)
    assert pool_tokens(tokens, 2, 1)[..., 0].tolist() == [[7.5, 23.5], [39.5, 55.5]]
    assert pool_tokens(tokens, 2, 2)[0, :4, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(pool_tokens(tokens, 2, 4), patches)
    assert torch.equal(pool_tokens(tokens[:1, :class_tokens + 16], 1, 4), patches[:1, :16])
    with pytest.raises(ValueError, match='1 to 4'):
        pool_tokens(tokens, 2, 5)
    with pytest.raises(ValueError, match='mask'):
        pool_tokens(torch.zeros(1, 11, 1), 4, 1)


def test_errors(tmp_path):
    with pytest.raises(ValueError, match='knn'):
        fit_probe(make_cache(), 'forest')
    with pytest.raises(ValueError, match='no train split'):
        fit_probe(FeatureCache(), 'knn')
    with pytest.raises(FileNotFoundError, match='cache'):
        read_cache(tmp_path / 'none.npz')
    other, fields = tmp_path / 'other.npz', np.array('{}')
    for write in (lambda: other.write_bytes(b'something else'), lambda: other.write_bytes(b''),
                  lambda: np.savez(other, fields=np.array('[' * 10**5)),
                  lambda: np.savez(other, fields=fields, **{'__class__/x': np.zeros(2)}),
                  lambda: np.savez(other, fields=np.array([None])),
                  lambda: np.savez(other, fields=fields, **{'labels/train': np.zeros(2, int)}),
                  lambda: np.savez_compressed(other, fields=fields)):
        write()
        with pytest.raises(ValueError, match=r'other\.npz is no feature cache'):
            read_cache(other)
    with pytest.raises(ValueError, match=r'\.npz'):
        write_cache(tmp_path / 'features.txt', make_cache())
