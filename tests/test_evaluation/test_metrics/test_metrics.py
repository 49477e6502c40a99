from itertools import permutations
from math import factorial

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from scipy.optimize import linear_sum_assignment

from tests.helpers import run_ranks
from tvtsv2_mm.evaluation import (
    MultipleChoiceAccuracy,
    RetrievalMetric,
    SortingAccuracy,
    TopKAccuracy,
)
from tvtsv2_mm.registry import METRICS


def evaluate(metric, samples: list[dict]) -> dict:
    for start in range(0, len(samples), 2):
        metric.process({}, samples[start:start + 2])
    return metric.evaluate(len(samples))


def embed(*values: float) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(values), dim=-1)


def test_built_by_name():
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        assert isinstance(METRICS.build(dict(type='RetrievalMetric', dsl=True)), RetrievalMetric)


def test_retrieval_with_several_captions():
    eye = torch.eye(3)
    samples = [
        dict(video_embed=eye[0], text_embeds=eye[[0, 1]]),  # its second caption is video 1's
        dict(video_embed=eye[1], text_embeds=eye[[1]]),
        dict(video_embed=eye[2], text_embeds=eye[[2]]),
    ]
    metrics = evaluate(RetrievalMetric(), samples)
    assert metrics['t2v/R1'] == pytest.approx(75)
    # The second caption ties with videos 0 and 2 behind video 1: rank 2 or 3.
    assert metrics['t2v/MnR'] == pytest.approx((1 + 2.5 + 1 + 1) / 4)
    # Video 1 finds its own caption or the same one of video 0.
    assert metrics['v2t/R1'] == pytest.approx(100 * (1 + 0.5 + 1) / 3)
    assert not any(key.startswith('dsl') for key in metrics)


def test_recalls_that_cannot_fail_are_left_out():
    """Five videos with 1, 1, 1, 1 and 7 texts: a video has at most 10 wrong texts."""
    eye = torch.eye(5)
    samples = [dict(video_embed=own, text_embeds=own.expand(1 if i < 4 else 7, 5))
               for i, own in enumerate(eye)]
    metrics = evaluate(RetrievalMetric(dsl=True), samples)
    assert set(metrics) == {prefix + name for prefix in ('', 'dsl/') for name in (
        't2v/R1', 't2v/MdR', 't2v/MnR', 'v2t/R1', 'v2t/R5', 'v2t/R10', 'v2t/MdR', 'v2t/MnR')}
    assert evaluate(RetrievalMetric(), samples[:1]) == {}


def test_dsl_is_beside_the_raw_figures():
    torch.manual_seed(0)
    samples = [dict(video_embed=embed(*torch.randn(4).tolist()),
                    text_embeds=embed(*torch.randn(4).tolist())[None]) for _ in range(8)]
    raw = evaluate(RetrievalMetric(), samples)
    both = evaluate(RetrievalMetric(dsl=True), samples)
    assert {key: both[key] for key in raw} == raw
    assert {key for key in both if key not in raw} == {f'dsl/{key}' for key in raw}


def test_sorting():
    right, wrong = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    metrics = evaluate(SortingAccuracy(), [dict(order_logits=right), dict(order_logits=wrong)])
    assert metrics['sorting/per_transcript'] == pytest.approx(100 * (3 + 1) / 6)
    assert metrics['sorting/per_video'] == pytest.approx(50)


def test_an_indifferent_sorting_head_gets_chance():
    metrics = evaluate(SortingAccuracy(), [dict(order_logits=torch.zeros(4, 4))] * 3)
    assert metrics['sorting/per_transcript'] == pytest.approx(25)
    assert metrics['sorting/per_video'] == pytest.approx(100 / 4**4)
    assert metrics['sorting/best_order'] == pytest.approx(100 / 24)


@pytest.mark.parametrize('num', [2, 4, 6])
def test_a_sorting_head_that_ignores_the_texts_gets_chance(num):
    """All texts get the same logits; all orders are then equally likely, rounding or not."""
    torch.manual_seed(0)
    samples = [dict(order_logits=torch.randn(num).expand(num, num)) for _ in range(20)]
    metrics = evaluate(SortingAccuracy(), samples)
    assert metrics['sorting/per_transcript'] == pytest.approx(100 / num)
    assert metrics['sorting/best_order'] == pytest.approx(100 / factorial(num))


def test_the_best_order_is_the_best_assignment():
    torch.manual_seed(0)
    samples = [dict(order_logits=torch.randn(5, 5) + 1.2 * torch.eye(5)) for _ in range(60)]
    hits = []
    for sample in samples:
        logits = sample['order_logits'].double().numpy()
        _, positions = linear_sum_assignment(logits, maximize=True)
        hits.append(positions.tolist() == [0, 1, 2, 3, 4])
        order = max(permutations(range(5)), key=lambda o: logits[np.arange(5), o].sum())
        assert list(order) == positions.tolist()
    expected = 100 * np.mean(hits)
    assert 20 < expected < 80
    assert evaluate(SortingAccuracy(), samples)['sorting/best_order'] == pytest.approx(expected)


def test_too_many_transcripts_for_the_best_order():
    metrics = evaluate(SortingAccuracy(), [dict(order_logits=torch.eye(8))])
    assert metrics == {'sorting/per_transcript': 100, 'sorting/per_video': 100}


def test_order_logits_of_another_shape():
    with pytest.raises(ValueError, match=r'a\.mp4 must be \(K, K\), and are \(3, 4\)'):
        SortingAccuracy().process({}, [dict(sample_id='a.mp4', order_logits=torch.ones(3, 4))])


def test_multiple_choice():
    eye = torch.eye(3)
    samples = [dict(video_embed=eye[0], text_embeds=eye, gt_label=torch.tensor([0])),
               dict(video_embed=eye[0], text_embeds=eye, gt_label=torch.tensor([1])),
               dict(video_embed=eye[0], text_embeds=eye[[0, 0]], gt_label=torch.tensor([1]))]
    metrics = evaluate(MultipleChoiceAccuracy(), samples)
    assert metrics['multiple_choice/top1'] == pytest.approx(100 * (1 + 0 + 0.5) / 3)


def test_k_that_cannot_fail_is_left_out():
    samples = [dict(pred_score=torch.rand(5), gt_label=torch.tensor([0]))] * 2
    assert set(evaluate(TopKAccuracy(), samples)) == {'acc/top1', 'acc/mean_class_top1'}
    assert evaluate(TopKAccuracy(), [dict(pred_score=torch.ones(1), gt_label=torch.tensor([0]))]
                    ) == {}


def test_one_candidate_is_no_choice():
    with pytest.raises(ValueError, match=r'a\.mp4 has 1 candidate'):
        MultipleChoiceAccuracy().process({}, [dict(
            sample_id='a.mp4', video_embed=torch.ones(2), text_embeds=torch.ones(1, 2),
            gt_label=torch.tensor([0]))])


def test_top_k():
    samples = [dict(pred_score=torch.tensor([0.5, 0.3, 0.2]), gt_label=torch.tensor([label]))
               for label in (0, 0, 1, 2)]
    metrics = evaluate(TopKAccuracy(topk=(1, 2)), samples)
    assert metrics['acc/top1'] == pytest.approx(50)
    assert metrics['acc/top2'] == pytest.approx(75)
    assert metrics['acc/mean_class_top1'] == pytest.approx(100 / 3)


def test_equal_scores_give_chance():
    samples = [dict(pred_score=torch.zeros(10), gt_label=torch.tensor([label]))
               for label in range(10)]
    metrics = evaluate(TopKAccuracy(), samples)
    assert metrics['acc/top1'] == pytest.approx(10)
    assert metrics['acc/top5'] == pytest.approx(50)


@pytest.mark.parametrize(('metric', 'key'), [
    (RetrievalMetric(), 'video_embed'), (SortingAccuracy(), 'order_logits'),
    (MultipleChoiceAccuracy(), 'video_embed'), (TopKAccuracy(), 'pred_score')])
def test_a_missing_key_names_the_sample(metric, key):
    with pytest.raises(KeyError, match=rf'{key}.*clip7\.mp4'):
        metric.process({}, [dict(sample_id='clip7.mp4')])


@pytest.mark.parametrize('scores', [np.nan, np.inf])
def test_scores_that_are_no_numbers(scores):
    with pytest.raises(ValueError, match='finite'):
        TopKAccuracy().process({}, [dict(pred_score=torch.tensor([scores, 0.0]),
                                         gt_label=torch.tensor([0]))])


def test_a_label_beyond_the_classes():
    with pytest.raises(ValueError, match='label 3 does not fit 2'):
        TopKAccuracy().process({}, [dict(pred_score=torch.zeros(2), gt_label=torch.tensor([3]))])


def test_several_labels():
    with pytest.raises(ValueError, match=r'one gt_label a sample, and a\.mp4 has 2'):
        TopKAccuracy().process({}, [dict(sample_id='a.mp4', pred_score=torch.zeros(3),
                                         gt_label=torch.tensor([0, 1]))])


@pytest.mark.parametrize(('metric', 'sample'), [
    (RetrievalMetric(), dict(video_embed=embed(1.0), text_embeds=embed(1.0)[None])),
    (SortingAccuracy(), dict(order_logits=torch.eye(2))),
    (MultipleChoiceAccuracy(),
     dict(video_embed=embed(1.0), text_embeds=torch.ones(2, 1), gt_label=torch.tensor([0]))),
    (TopKAccuracy(), dict(pred_score=torch.zeros(3), gt_label=torch.tensor([0])))])
def test_a_sample_that_is_missing(metric, sample):
    metric.process({}, [sample, sample])
    with pytest.raises(ValueError, match=f'{type(metric).__name__} got 2 of the 3 samples'):
        metric.evaluate(3)


@pytest.mark.parametrize('metric', [RetrievalMetric(), MultipleChoiceAccuracy()])
def test_no_sample_at_all(metric):
    with pytest.raises(ValueError, match='has no sample'):
        metric.evaluate(0)


def test_retrieval_of_the_same_video_twice():
    one = dict(sample_id='a.mp4', video_embed=torch.ones(1), text_embeds=torch.ones(1, 1))
    for name in ('a.mp4', './a.mp4'):
        with pytest.raises(ValueError, match=r"2 samples are named 'a\.mp4'"):
            evaluate(RetrievalMetric(), [one, one | dict(sample_id=name)])


def test_retrieval_of_a_video_without_texts():
    with pytest.raises(ValueError, match=r'a\.mp4 has no text'):
        RetrievalMetric().process({}, [
            dict(sample_id='a.mp4', video_embed=torch.ones(2), text_embeds=torch.ones(0, 2))])


def test_equal_embeddings_give_chance():
    """A collapsed model: float32 embeddings, all the same."""
    torch.manual_seed(0)
    video = torch.nn.functional.normalize(torch.randn(32), dim=0)
    samples = [dict(sample_id=str(i), video_embed=video, text_embeds=video.expand(2, 32))
               for i in range(40)]
    metrics = evaluate(RetrievalMetric(dsl=True), samples)
    for prefix in ('', 'dsl/'):
        assert metrics[f'{prefix}t2v/R1'] == pytest.approx(100 / 40)
        assert metrics[f'{prefix}t2v/MdR'] == pytest.approx(20.5)
        assert metrics[f'{prefix}v2t/R1'] == pytest.approx(100 / 40)


def ranked(size: int) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    return [dict(sample_id=str(i), video_embed=torch.randn(8, generator=generator),
                 text_embeds=torch.randn(1 + i % 3, 8, generator=generator)) for i in range(size)]


def check_ranks(rank: int, world_size: int, expected: dict) -> None:
    samples = ranked(11)
    metric = RetrievalMetric()
    # As mmengine's DefaultSampler deals them out: strided, the first ones again at the end.
    for index in range(rank, 12, world_size):
        metric.process({}, [samples[index % 11]])
    assert metric.evaluate(11) == expected


def test_two_ranks_with_an_odd_number_of_samples():
    run_ranks(2, check_ranks, evaluate(RetrievalMetric(), ranked(11)))


def test_shares_have_intervals_and_chance():
    """By the names of the metrics; ranks and the mean over classes are no shares of hits."""
    top = TopKAccuracy()
    samples = [dict(pred_score=torch.eye(10)[label], gt_label=torch.tensor([label % 7]))
               for label in range(10)]
    metrics = evaluate(top, samples)
    assert set(top.shares) == {'acc/top1', 'acc/top5'}
    assert [share.chance for share in top.shares.values()] == pytest.approx([10, 50])
    assert top.shares['acc/top1'].value == metrics['acc/top1'] == pytest.approx(70)
    low, high = top.shares['acc/top1'].interval
    assert 30 < low < 70 < high <= 100

    choice = MultipleChoiceAccuracy()
    evaluate(choice, [dict(video_embed=torch.ones(2), text_embeds=torch.ones(number, 2),
                           gt_label=torch.tensor([0])) for number in (2, 4)])
    assert choice.shares['multiple_choice/top1'].chance == pytest.approx(37.5)
    assert choice.shares['multiple_choice/top1'].value == pytest.approx(37.5)

    order = SortingAccuracy()
    evaluate(order, [dict(order_logits=torch.eye(3))] * 2)
    assert [order.shares[f'sorting/{name}'].chance for name in (
        'per_transcript', 'per_video', 'best_order')] == pytest.approx(
            [100 / 3, 100 / 27, 100 / 6])


def test_shares_of_retrieval():
    metric = RetrievalMetric(dsl=True)
    metrics = evaluate(metric, ranked(12))
    assert set(metric.shares) == {name for name in metrics if name.rpartition('/R')[1]}
    for name, share in metric.shares.items():
        assert share.value == metrics[name]
        assert share.interval[0] <= share.value <= share.interval[1]
        if name.startswith('t2v/'):
            assert share.chance == pytest.approx(100 * int(name[5:]) / 12)
    # Of 24 texts a video has 1, 2 or 3: on the mean one of the 12 videos' own comes first.
    assert metric.shares['v2t/R1'].chance == pytest.approx(100 / 12)
    # What is equally near is what chance is.
    same = RetrievalMetric()
    found = evaluate(same, [own | dict(video_embed=torch.ones(8), text_embeds=torch.ones(
        len(own['text_embeds']), 8)) for own in ranked(12)])
    assert {name: share.chance for name, share in same.shares.items()} == pytest.approx(
        {name: value for name, value in found.items() if name in same.shares})


def test_retrieval_of_texts_that_several_videos_share():
    eye = torch.eye(3)
    samples = [dict(sample_id=str(i), video_embed=torch.tensor(video), texts=[text],
                    text_embeds=eye['abc'.index(text)][None])
               for i, (text, video) in enumerate([
                   ('a', [3.0, 0, 1]), ('b', [2.0, 1, 0]), ('a', [1.0, 2, 0]), ('b', [0.0, 3, 0]),
                   ('c', [0.0, 0, 2])])]
    metrics = evaluate(metric := RetrievalMetric(shared_texts=True), samples)
    # By text a: 0 1 2 and 3, 4; right are 0 and 2. By b: 3 2 1; right 3, 1. By c: 4 0; right 4.
    assert metrics['t2v/R1'] == pytest.approx(100)
    assert metrics['t2v/mAP'] == pytest.approx(100 * ((1 + 2 / 3) / 2 * 2 + 1) / 3)
    assert metrics['v2t/R1'] == pytest.approx(100 * 3 / 5)
    # R@k that some text could miss: of c four videos are wrong.
    assert set(metrics) == {'t2v/R1', 't2v/MdR', 't2v/MnR', 't2v/mAP', 'v2t/R1', 'v2t/MdR',
                            'v2t/MnR'}
    assert metric.shares['t2v/R1'].chance == pytest.approx(100 * (2 / 5 + 2 / 5 + 1 / 5) / 3)
    # As if each video had a text of its own, one of equal texts wins.
    assert evaluate(RetrievalMetric(), samples)['t2v/R1'] == pytest.approx(60)
    with pytest.raises(ValueError, match=r'3 has 2 texts and 1 embeddings'):
        RetrievalMetric(shared_texts=True).process({}, [samples[3] | dict(texts=['a', 'b'])])
