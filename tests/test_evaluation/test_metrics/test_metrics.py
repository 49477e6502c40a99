import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

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


def test_multiple_choice():
    eye = torch.eye(3)
    samples = [dict(video_embed=eye[0], text_embeds=eye, gt_label=torch.tensor([0])),
               dict(video_embed=eye[0], text_embeds=eye, gt_label=torch.tensor([1])),
               dict(video_embed=eye[0], text_embeds=eye[[0, 0]], gt_label=torch.tensor([1]))]
    metrics = evaluate(MultipleChoiceAccuracy(), samples)
    assert metrics['multiple_choice/top1'] == pytest.approx(100 * (1 + 0 + 0.5) / 3)


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
