"""Dual encoders of transformers as backbone and neck: the numbers are those of the library."""


import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmaction.structures import ActionDataSample
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from tests.hugging_face_models import KINDS, SIDE, make_folder, pixels_of, tokens_of
from tvtsv2_mm.evaluation.probes.cache import pool_tokens
from tvtsv2_mm.models.hugging_face_part import features_of
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer

FRAMES = np.random.default_rng(0).integers(256, size=(4, SIDE, SIDE, 3), dtype=np.uint8)
TEXTS = ['a dog runs in the grass', 'Cat', 'a person sleeps ' * 9, 'zebra runs']


def build(cfg):
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        return MODELS.build(cfg)


def model_cfg(folder, backbone='HuggingFaceBackbone', **more):
    return dict(
        type='VideoTextModel', data_preprocessor=dict(type='VideoTextDataPreprocessor'),
        backbone=dict(type=backbone, folder=str(folder)),
        neck=dict(type='HuggingFaceTextEncoder', folder=str(folder))) | more


def load(folder, **more):
    model = build(model_cfg(folder, **more)).eval()
    load_checkpoint(model, str(folder))
    return model


def clip_of(model, frames=FRAMES):
    """What the model is given of a video of these frames."""
    video = torch.from_numpy(frames).permute(0, 3, 1, 2)
    return model.data_preprocessor(dict(inputs=dict(video=[video])))['inputs']['video']


def texts_of(model, folder, texts=TEXTS):
    return build_tokenizer(str(folder), model.neck.context_length)(texts)


@torch.no_grad()
@pytest.mark.filterwarnings('ignore:2 of 4|1 of 4')
@pytest.mark.parametrize('kind', KINDS)
def test_embeddings_are_those_of_the_librarys_own_processor_and_model(tmp_path, kind):
    theirs = make_folder(tmp_path, kind)
    model = load(tmp_path)
    pixels = pixels_of(tmp_path, FRAMES)
    if hasattr(theirs, 'get_image_features'):
        frames = features_of(theirs.get_image_features(**pixels))
        expected = F.normalize(frames, dim=-1).mean(dim=0)
    else:
        expected = features_of(theirs.get_video_features(**pixels))[0]
    embeds, tokens = model.encode_video(dict(video=clip_of(model)))
    torch.testing.assert_close(embeds[0], expected, atol=1e-5, rtol=0)
    assert tokens is None and model.backbone.embed_dim == embeds.shape[1]

    given = {name: value for name, value in tokens_of(tmp_path, TEXTS).items()
             if name != 'token_type_ids'}
    expected = features_of(theirs.get_text_features(**given))
    tokens = texts_of(model, tmp_path)
    for padded in (True, False):
        torch.testing.assert_close(model.neck(tokens, padded), expected, atol=1e-5, rtol=0)
    assert model.neck.embed_dim == expected.shape[1] == embeds.shape[1]
    report = model.load_report
    assert report['new'] == [] and set(report['unneeded']) <= {
        'logit_scale', 'logit_bias', 'temperature'}
    assert report['tensors'] == len(model.state_dict())
    assert report['assumed'] == []




@torch.no_grad()
def test_what_happens_to_frames_before_they_are_encoded(tmp_path):
    """The mean of the embeddings as they are; NaFlex of frames that are no squares."""
    make_folder(tmp_path / 'siglip2', 'siglip2')
    model = load(tmp_path / 'siglip2')
    wide = FRAMES[:, :24]
    embeds = model.backbone(clip_of(model, wide))[0]
    theirs = make_folder(tmp_path / 'theirs', 'siglip2')
    rows = torch.from_numpy(wide).float().div(255).sub(torch.tensor([0.5, 0.45, 0.4])).div(
        torch.tensor([0.5, 0.55, 0.6])).unflatten(2, (4, 8)).unflatten(1, (3, 8))
    frames = features_of(theirs.get_image_features(
        pixel_values=rows.transpose(2, 3).reshape(4, 12, -1),
        pixel_attention_mask=torch.ones(4, 12, dtype=torch.int32),
        spatial_shapes=torch.tensor([[3, 4]] * 4)))
    torch.testing.assert_close(embeds[0], F.normalize(frames, dim=-1).mean(dim=0), atol=1e-5,
                               rtol=0)
    model.backbone.average = 'embeddings'
    torch.testing.assert_close(model.backbone(clip_of(model, wide))[0][0], frames.mean(dim=0),
                               atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r'no multiples of the patches'):
        model.backbone(torch.zeros(1, 2, 3, 30, 32))


@torch.no_grad()
@pytest.mark.filterwarnings('ignore:1 of 3')
@pytest.mark.parametrize('views', [1, 2])
def test_zero_shot_of_xclip_is_its_own_forward(tmp_path, views):
    """Texts are read anew for each video; two equal views change nothing."""
    theirs = make_folder(tmp_path, 'xclip')
    classes = ['dog runs', 'cat sleeps in the grass', 'man']
    model = load(tmp_path, backbone='XClipBackbone', cls_head=dict(
        type='VideoConditionedZeroShotHead', classes=classes, prompts=['{}'],
        tokenizer=str(tmp_path), context_length=16))
    video = clip_of(model)
    expected = theirs(pixel_values=video, **tokens_of(tmp_path, classes)).logits_per_video[0]
    samples = [ActionDataSample(metainfo=dict(num_views=views)) for _ in range(2)]
    model.predict(dict(video=video.repeat(2, views, 1, 1, 1)), samples)
    scale = theirs.logit_scale.exp()
    for sample in samples:
        torch.testing.assert_close(sample.pred_score * scale, expected, atol=1e-5, rtol=1e-4)
    # A plain head has the texts as they are.
    plain = load(tmp_path, cls_head=dict(type='ZeroShotHead', classes=classes, prompts=['{}'],
                                         tokenizer=str(tmp_path), context_length=16))
    samples = plain.predict(dict(video=video), [ActionDataSample()])
    assert (samples[0].pred_score * scale - expected).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r'HuggingFaceBackbone\) cannot do: take ZeroShotHead'):
        load(tmp_path, cls_head=dict(type='VideoConditionedZeroShotHead', classes=classes))


@torch.no_grad()
def test_several_prompts_of_a_class_are_averaged_for_each_video(tmp_path):
    make_folder(tmp_path, 'xclip')
    head = dict(type='VideoConditionedZeroShotHead', classes=['dog', 'cat'],
                tokenizer=str(tmp_path), context_length=16)
    prompts = ['a {}', 'the {} runs']
    model = load(tmp_path, backbone='XClipBackbone', cls_head=dict(head, prompts=prompts))
    video = clip_of(model)
    embeds, tokens = model.encode_video(dict(video=video))
    texts = model.neck(texts_of(model, tmp_path, ['a dog', 'the dog runs', 'a cat',
                                                  'the cat runs']))
    classes = F.normalize(model.backbone.condition_texts(texts, tokens)[0], dim=-1)
    classes = F.normalize(classes.view(2, 2, -1).mean(dim=1), dim=-1)
    assert pool_tokens(tokens, 4, 2).shape == (1, 4 * 2 * 2, 24)  # for the attentive probe
    [sample] = model.predict(dict(video=video), [ActionDataSample()])
    torch.testing.assert_close(sample.pred_score, classes @ F.normalize(embeds[0], dim=-1))


@torch.no_grad()
def test_what_was_never_loaded_gives_no_numbers(tmp_path):
    make_folder(tmp_path, 'clip')
    model = build(model_cfg(tmp_path)).eval()
    assert model.backbone(clip_of(model))[0].isnan().all()
    assert model.neck(texts_of(model, tmp_path)).isnan().all()
