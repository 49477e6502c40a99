import json

import numpy as np
import pytest
import torch

from tvtsv2_mm.apis.probes import FeatureCache, fit_probe, read_cache, write_cache
from tvtsv2_mm.apis.probes.cache import pool_tokens


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


def test_cache_file(tmp_path):
    cache = make_cache()
    write_cache(tmp_path / 'features.npz', cache)
    again = read_cache(tmp_path / 'features.npz')
    assert again.fields == json.loads(json.dumps(cache.fields))
    for kind in ('embeds', 'tokens', 'labels'):
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
    (tmp_path / 'other.npz').write_bytes(b'something else')
    with pytest.raises(ValueError, match='no feature cache'):
        read_cache(tmp_path / 'other.npz')
    with pytest.raises(ValueError, match=r'\.npz'):
        write_cache(tmp_path / 'features.txt', make_cache())
