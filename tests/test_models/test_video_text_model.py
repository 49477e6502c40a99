import copy

import pytest
import torch
from mmaction.structures import ActionDataSample

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.tokenizer import Vocabulary


def samples(count: int) -> list[ActionDataSample]:
    return [ActionDataSample() for _ in range(count)]


def test_built_by_name(model_cfg):
    assert isinstance(MODELS.build(dict(type='VideoTextModel', **model_cfg)), VideoTextModel)


def test_loss(model, inputs):
    losses = model(inputs, samples(2), mode='loss')
    assert set(losses) == {'loss_contrastive', 'loss_sorting', 'acc_sorting'}
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without
    assert all(name.startswith('neck.clip.text_model.encoder.layers.') for name in without)


def test_one_caption_has_no_sorting_but_reaches_every_parameter(model, inputs):
    inputs['tokens'] = inputs['tokens'][:, :1]
    losses = model(inputs, samples(2), mode='loss')
    assert set(losses) == {'loss_contrastive'}
    losses['loss_contrastive'].backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def test_predict_equals_tensor(model, inputs):
    outputs = model(inputs, mode='tensor')
    predicted = model(inputs, samples(2), mode='predict')
    for b, sample in enumerate(predicted):
        video, texts = outputs['video_embeds'][b], outputs['text_embeds'][b]
        torch.testing.assert_close(sample.video_embed, video / video.norm())
        torch.testing.assert_close(sample.text_embeds, texts / texts.norm(dim=-1, keepdim=True))
        torch.testing.assert_close(sample.order_logits, outputs['order_logits'][b])


@torch.no_grad()
def test_texts_alone(model, inputs):
    outputs = model.eval()(dict(tokens=inputs['tokens']))
    assert list(outputs) == ['text_embeds']
    assert torch.equal(outputs['text_embeds'], model.encode_text(inputs['tokens']))


def test_predict_with_differing_numbers_of_captions(model, inputs):
    whole = model(inputs, samples(2), mode='predict')
    inputs['tokens'] = [inputs['tokens'][0], inputs['tokens'][1, :1]]
    ragged = model(inputs, samples(2), mode='predict')
    assert [len(sample.text_embeds) for sample in ragged] == [3, 1]
    torch.testing.assert_close(ragged[1].text_embeds, whole[1].text_embeds[:1])
    assert 'order_logits' not in ragged[0]


@torch.no_grad()
def test_tokens_are_computed_for_sorting_alone(model, inputs, monkeypatch):
    """Captions and classes read the embedding, for which the class token of the last block does."""
    asked = []
    forward = model.backbone.forward

    def record(video, kept_patches, class_only):
        asked.append(class_only)
        return forward(video, kept_patches, class_only)

    monkeypatch.setattr(model.backbone, 'forward', record)
    single = inputs | dict(tokens=inputs['tokens'][:, :1])
    two = samples(2)
    for sample in two:
        sample.set_metainfo(dict(num_views=2))
    for batch in (inputs, single):
        model(batch, samples(2), mode='loss')
        model(batch, samples(2), mode='predict')
        model(batch, two, mode='predict')
    assert asked == [False, False, False, True, True, True]
    model(inputs, mode='tensor')
    assert asked[-1] is False


@torch.no_grad()
def test_predict_classes(model_cfg, inputs):
    del model_cfg['neck'], model_cfg['contrastive_head'], model_cfg['sorting_head']
    model = VideoTextModel(
        **model_cfg, cls_head=dict(type='LinearProbeHead', num_classes=4, embed_dim=32))
    sample = model(dict(video=inputs['video']), samples(2), mode='predict')[0]
    assert sample.pred_score.shape == (4, )
    assert sample.pred_label.item() == sample.pred_score.argmax()


@torch.no_grad()
@pytest.mark.parametrize('backbone', ['SpaceTimeViT', 'FramewiseViT'])
@pytest.mark.parametrize('views', [2, 5])
@pytest.mark.parametrize('head', [
    dict(type='LinearProbeHead', num_classes=4, embed_dim=32),
    dict(type='ZeroShotHead', classes=['a', 'b'], prompts=['{}'], context_length=12)])
def test_equal_views_change_nothing(model_cfg, inputs, backbone, views, head):
    """For classes, retrieval, multiple choice (the embeddings) and sorting alike."""
    torch.manual_seed(0)
    model_cfg['backbone']['type'] = backbone
    model_cfg['neck']['vocab_size'] = 49408
    model = VideoTextModel(**model_cfg, cls_head=head).eval()
    for parameter in model.parameters():  # embeddings that are far from unit length
        parameter.mul_(3)
    one = model(inputs, samples(2), mode='predict')
    inputs['video'] = inputs['video'].repeat(1, views, 1, 1, 1)
    many = model(inputs, [sample.set_metainfo(dict(num_views=views)) or sample
                          for sample in samples(2)], mode='predict')
    for single, several in zip(one, many, strict=True):
        for key in ('video_embed', 'text_embeds', 'order_logits', 'pred_score'):
            torch.testing.assert_close(several.get(key), single.get(key), msg=key)


@torch.no_grad()
def test_views_of_a_linear_probe_are_averaged_before_the_softmax(model_cfg, inputs):
    model = VideoTextModel(
        backbone=model_cfg['backbone'],
        cls_head=dict(type='LinearProbeHead', num_classes=4, embed_dim=32)).eval()
    views = inputs['video'].unflatten(1, (2, 3))
    logits = torch.stack([model.cls_head.fc(model.backbone(views[:, i])[0]) for i in range(2)])
    sample = samples(1)[0]
    sample.set_metainfo(dict(num_views=2))
    [predicted] = model(dict(video=inputs['video'][:1]), [sample], mode='predict')
    torch.testing.assert_close(predicted.pred_score, logits[:, 0].mean(dim=0).softmax(dim=0))


@torch.no_grad()
def test_classes_are_those_of_the_weights(model_cfg, inputs):
    """Loaded again, or swapped in place as mmengine's EMAHook does."""
    model_cfg['neck']['vocab_size'] = 49408
    head = dict(type='ZeroShotHead', classes=['a', 'b'], context_length=12)
    model, other = (VideoTextModel(**model_cfg, cls_head=head).eval() for _ in range(2))
    batch = dict(video=inputs['video'])

    def scores(of):
        return torch.stack([sample.pred_score for sample in of(batch, samples(2), mode='predict')])

    first, second = scores(model), scores(other)
    assert (first - second).abs().max() > 0.05
    weights = copy.deepcopy(model.state_dict())
    for own, value in zip(model.parameters(), other.parameters(), strict=True):
        own.data.copy_(value.data)
    assert torch.equal(scores(model), second)
    model.load_state_dict(weights)
    assert torch.equal(scores(model), first)


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_tokens_of_clip_do_not_go_into_an_encoder_of_others(model_cfg, inputs, mode):
    model_cfg['neck'].update(tokenizer='BertTokenizer', vocab_size=49408)
    model = VideoTextModel(**model_cfg, cls_head=dict(
        type='ZeroShotHead', classes=['a', 'b'], context_length=12))
    with pytest.raises(ValueError, match="the tokens of 'BertTokenizer'"):
        model.cls_head.predict(torch.randn(1, 32), model.neck)
    model.cls_head = None

    def run(**made):
        told = samples(2)
        for sample in told:
            sample.set_metainfo(made)
        model(inputs, told, mode=mode)

    run()  # made elsewhere
    run(num_cut_texts=0, vocabulary=Vocabulary('BertTokenizer_0123456789ab', 49408))
    for made in (dict(), dict(vocabulary=Vocabulary('GemmaTokenizer', 9))):
        with pytest.raises(ValueError, match=r"'BertTokenizer_0123456789ab'.*TokenizeText"):
            run(num_cut_texts=0, **made)
    with pytest.raises(ValueError, match=r'has 49409, but neck\.vocab_size is 49408'):
        run(num_cut_texts=0, vocabulary=Vocabulary('BertTokenizer', 49409))


def test_errors(model, model_cfg, inputs):
    with pytest.raises(ValueError, match="not 'train'"):
        model(inputs, mode='train')
    with pytest.raises(ValueError, match='nothing to train'):
        VideoTextModel(backbone=model_cfg['backbone'])(inputs, samples(2), mode='loss')
    with pytest.raises(ValueError, match='no neck'):
        VideoTextModel(backbone=model_cfg['backbone']).encode_text(inputs['tokens'])


def test_parts_of_differing_widths(model_cfg):
    model_cfg['neck']['embed_dim'] //= 2
    with pytest.raises(ValueError, match=r'the same in all parts: backbone\.embed_dim=\d+, neck'):
        VideoTextModel(**model_cfg)


def test_own_weights_into_a_linear_probe(model, model_cfg):
    probe = VideoTextModel(
        backbone=model_cfg['backbone'],
        cls_head=dict(type='LinearProbeHead', num_classes=4, embed_dim=32))
    probe.load_state_dict(model.state_dict())
    torch.testing.assert_close(probe.backbone.state_dict(), model.backbone.state_dict())


def test_a_class_head_that_nobody_trained_scores_nothing(model, model_cfg, inputs):
    def build():
        return VideoTextModel(backbone=model_cfg['backbone'], cls_head=dict(
            type='LinearProbeHead', num_classes=4, embed_dim=32))

    probe, batch = build(), dict(video=inputs['video'])
    probe.load_state_dict(model.state_dict())
    with pytest.raises(CheckpointError, match='no trained cls_head'):
        probe(batch, samples(2), mode='predict')
    probe(batch, [sample.set_gt_label(1) for sample in samples(2)], mode='loss')
    probe(batch, samples(2), mode='predict')
    trained = build()
    trained.load_state_dict(probe.state_dict())
    trained(batch, samples(2), mode='predict')
    trained.load_state_dict(model.state_dict())
    with pytest.raises(CheckpointError, match='no trained cls_head'):
        trained(batch, samples(2), mode='predict')


def test_a_sorting_head_that_nobody_trained_is_told(model, model_cfg, inputs):
    weights = {key: value for key, value in model.state_dict().items() if 'sorting' not in key}
    model.load_state_dict(weights)
    with pytest.warns(UserWarning, match='no trained sorting_head'):
        model(inputs, samples(2), mode='predict')


def test_wrong_size_is_an_error_by_every_way(model, model_cfg, tmp_path):
    model_cfg['backbone']['patch_size'] = 16
    other = VideoTextModel(**model_cfg)
    with pytest.raises(CheckpointError, match=r'conv1.weight: \(48, 3, 8, 8\) in the checkpoint'):
        other.load_state_dict(model.state_dict())
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    other = VideoTextModel(
        **model_cfg, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    with pytest.raises(CheckpointError, match='sizes differ'):
        other.init_weights()
