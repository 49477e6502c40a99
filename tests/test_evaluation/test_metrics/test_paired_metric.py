from itertools import permutations, product

import numpy as np
import pytest
import torch

from tests.helpers import run_ranks
from tests.test_evaluation.test_metrics.test_metrics import evaluate
from tvtsv2_mm.evaluation import PairedMetric


def samples_of(similarity, labels, texts):
    """Videos whose similarity to each text is given: (V, n), labels (V,)."""
    similarity = torch.as_tensor(similarity, dtype=torch.float32)
    eye = torch.eye(similarity.shape[1])
    return [dict(sample_id=f'{texts[0]} {i}', texts=texts, gt_label=torch.tensor([label]),
                 video_embed=own, text_embeds=eye)
            for i, (own, label) in enumerate(zip(similarity, labels, strict=True))]


def told(metrics):
    return {name.removeprefix('paired/'): value for name, value in metrics.items()}


def test_scores_of_pairs():
    samples = [
        *samples_of([[3, 1], [0, 2]], [0, 1], ['a', 'b']),  # all right
        *samples_of([[3, 1], [4, 5]], [0, 1], ['c', 'd']),  # each video finds its text
        *samples_of([[1, 2], [0, 3]], [0, 1], ['e', 'f']),  # each text finds its video
        *samples_of([[2, 1], [1, 2]], [1, 0], ['g', 'h']),  # all wrong, the other order
    ]
    assert told(evaluate(PairedMetric(), samples)) == pytest.approx({
        'v2t/R1': 100 * 5 / 8, 't2v/R1': 100 * 5 / 8, 'text_score': 50, 'video_score': 50,
        'group_score': 25})


@pytest.mark.parametrize('embed', ['zero', 'same'])
def test_equal_embeddings_give_chance(embed):
    torch.manual_seed(0)
    one = torch.zeros(8) if embed == 'zero' else torch.nn.functional.normalize(
        torch.randn(8), dim=0)
    samples = [dict(texts=[f'a{i // 2}', f'b{i // 2}'], gt_label=torch.tensor([i % 2]),
                    video_embed=one, text_embeds=one.expand(2, 8)) for i in range(10)]
    chance = {'v2t/R1': 50, 't2v/R1': 50, 'text_score': 25, 'video_score': 25,
              'group_score': 100 / 6}
    assert told(evaluate(metric := PairedMetric(), samples)) == pytest.approx(chance)
    assert told({name: own.chance for name, own in metric.shares.items()}) == pytest.approx(chance)
    # Groups of 3 and 4 videos, of which 2 and 1 are of the first text.
    samples = [dict(texts=[group, 'b'], gt_label=torch.tensor([label]), video_embed=one,
                    text_embeds=one.expand(2, 8))
               for group, labels in dict(a=[0, 0, 1], c=[1, 0, 1, 1]).items() for label in labels]
    metrics = told(evaluate(metric := PairedMetric(), samples))
    assert told({name: own.chance for name, own in metric.shares.items()}) == pytest.approx(metrics)
    # Of 2 right ones among 3: first and second, first and third, second and third.
    two_of_three = (1 + (1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 3
    one_of_three, one_of_four = (sum(1 / i for i in range(1, n + 1)) / n for n in (3, 4))
    three_of_four = (1 + (1 + 1 + 3 / 4) / 3 + (1 + 2 / 3 + 3 / 4) / 3 + (
        1 / 2 + 2 / 3 + 3 / 4) / 3) / 4
    assert metrics == pytest.approx({
        'v2t/R1': 50, 't2v/R1': 50, 't2v/mAP': 100 * (
            3 * (two_of_three + one_of_three) + 4 * (one_of_four + three_of_four)) / 14})


def test_random_similarities_give_chance():
    torch.manual_seed(0)
    samples = [sample for i in range(4000)
               for sample in samples_of(torch.randn(2, 2), [0, 1], [f'a{i}', f'b{i}'])]
    metrics = told(evaluate(PairedMetric(), samples))
    assert metrics == pytest.approx({
        'v2t/R1': 50, 't2v/R1': 50, 'text_score': 25, 'video_score': 25, 'group_score': 100 / 6},
        abs=2.5)


@pytest.mark.parametrize('values', [*product((0, 1), repeat=4)])
def test_ties_are_the_mean_of_their_orders(values):
    """Broken in all orders of the four similarities."""
    broken = [told(evaluate(PairedMetric(), samples_of(
        (np.array(values) + 0.1 * np.array(order)).reshape(2, 2), [0, 1], ['a', 'b'])))
        for order in permutations(range(4))]
    found = told(evaluate(PairedMetric(), samples_of(
        np.reshape(values, (2, 2)), [0, 1], ['a', 'b'])))
    for name, value in found.items():
        assert value == pytest.approx(np.mean([own[name] for own in broken])), name


def test_a_model_that_is_blind_to_order():
    torch.manual_seed(0)
    samples = [sample for i in range(50) for sample in samples_of(
        torch.randn(1, 2).expand(2, 2), [0, 1], [f'a{i}', f'b{i}'])]
    metrics = told(evaluate(PairedMetric(), samples))
    assert (metrics['v2t/R1'], metrics['t2v/R1']) == (50, 50)
    assert (metrics['text_score'], metrics['video_score'], metrics['group_score']) == (0, 25, 0)


def test_groups_of_several_videos_a_text():
    """As in CiA-Retrieval: means of texts, weighted by the videos of a group."""
    samples = [*samples_of([[4, 3], [2, 0], [1, 2]], [0, 0, 1], ['a', 'b']),
               *samples_of([[3, 1], [4, 2], [1, 0], [0, 3]], [1, 0, 1, 1], ['c', 'd'])]
    # Videos by text a: 0 1 2, of which 0 and 1 are right; by b: 0 2 1, right is 2.
    # By text c: 1 0 2 3, right is 1; by d: 3 1 0 2, right are 3, 0 and 2.
    precision = (1 + 1 / 2) / 2, (1 + (1 + 2 / 3 + 3 / 4) / 3) / 2
    assert told(evaluate(PairedMetric(), samples)) == pytest.approx({
        'v2t/R1': 100 * (3 + 2) / 7, 't2v/R1': 100 * (3 * 0.5 + 4 * 1) / 7,
        't2v/mAP': 100 * (3 * precision[0] + 4 * precision[1]) / 7})


def test_pairs_that_lack_a_video():
    samples = [*samples_of([[3, 1], [0, 2]], [0, 1], ['a', 'b']),
               *samples_of([[1, 2]], [0], ['c', 'd'])]
    assert told(evaluate(PairedMetric(), samples)) == pytest.approx({
        'v2t/R1': 100 * 2 / 3, 't2v/R1': 100, 'text_score': 100, 'video_score': 100,
        'group_score': 100})
    assert told(evaluate(PairedMetric(), samples[2:])) == {'v2t/R1': 0}


def test_two_pairs_of_the_same_texts():
    """They are one group, of four videos, which has no score, while the others keep theirs."""
    samples = [*samples_of([[3, 1], [0, 2]], [0, 1], ['a', 'b']),
               *samples_of([[1, 2], [0, 3]], [0, 1], ['c', 'd']),
               *samples_of([[3, 1], [0, 2]] * 2, [0, 1] * 2, ['e', 'f'])]
    assert told(evaluate(PairedMetric(), samples)) == pytest.approx({
        'v2t/R1': 100 * 7 / 8, 't2v/R1': 100, 'text_score': 50, 'video_score': 100,
        'group_score': 50})


def test_intervals_draw_pairs():
    """A pair's videos fail together: half of the pairs, so as half of the videos by themselves."""
    right, wrong = [[1, 0], [0, 1]], [[0, 1], [1, 0]]
    samples = [sample for i in range(100) for sample in samples_of(
        wrong if i % 2 else right, [0, 1], [f'a{i}', f'b{i}'])]
    evaluate(metric := PairedMetric(), samples)
    intervals = {name: own.interval for name, own in metric.shares.items()}
    assert set(intervals.values()) == {intervals['paired/text_score']}
    assert intervals['paired/v2t/R1'] == pytest.approx((40, 60), abs=1.5)


@pytest.mark.parametrize(('change', 'message'), [
    (dict(texts=['a']), r'x\.mp4 has 1 texts and 2 embeddings'),
    (dict(texts=['a'], text_embeds=torch.eye(2)[:1]), r'x\.mp4 has 1 candidates'),
    (dict(gt_label=torch.tensor([2])), r'x\.mp4 has 2 candidates, and its own is said to be .* 2')])
def test_samples_that_do_not_fit(change, message):
    sample = samples_of([[1, 2]], [0], ['a', 'b'])[0] | dict(sample_id='x.mp4') | change
    with pytest.raises(ValueError, match=message):
        PairedMetric().process({}, [sample])


def many() -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    return [sample for i in range(5) for sample in samples_of(
        torch.randn(2, 2, generator=generator), [0, 1], [f'a{i}', f'b{i}'])]


def check_ranks(rank: int, world_size: int, expected: dict) -> None:
    samples, metric = many(), PairedMetric()
    # As mmengine's DefaultSampler deals them out: the videos of a pair are on two ranks.
    for index in range(rank, 10, world_size):
        metric.process({}, [samples[index]])
    assert metric.evaluate(10) == expected


def test_pairs_whose_videos_are_on_two_ranks():
    run_ranks(2, check_ranks, evaluate(PairedMetric(), many()))
