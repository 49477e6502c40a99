import pytest
import torch

from tvtsv2_mm.datasets.transforms import TokenizeText


@pytest.mark.parametrize('key', ['texts', 'captions'])
def test_tokens_of_texts_or_captions(key):
    results = TokenizeText(context_length=8).transform({key: ['a dog', 'two cats']})
    assert results['tokens'].shape == (2, 8)
    assert results['tokens'].dtype == torch.int64
    assert results['tokens'][0].tolist() == [49406, 320, 1929, 49407, 0, 0, 0, 0]
    assert results['texts'] == ['a dog', 'two cats']


def test_texts_that_are_cut_are_counted():
    transform = TokenizeText(context_length=4)
    for text, expected in (('a dog', 0), ('a dog runs', 1)):
        assert transform.transform(dict(captions=[text, 'dogs']))['num_cut_texts'] == expected


@pytest.mark.parametrize('results', [{}, {'texts': []}, {'words': [('a', 0, 1)]}])
def test_without_text(results):
    with pytest.raises(KeyError, match='texts or captions'):
        TokenizeText().transform(results)
