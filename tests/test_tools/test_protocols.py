"""Each protocol end to end in the benchmark's layout, against plainly computed figures."""

import json
import math
from itertools import chain, product
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from tests.grey_videos import write_grey_video
from tests.test_tools.protocol_data import (
    CLASSES,
    CONFIGS,
    SENTENCES,
    make_captions,
    make_recognition,
    save_checkpoint,
    small_options,
    write_jsonl,
)
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.checkpoints.model_config import MODEL_PARTS
from tvtsv2_mm.datasets.transforms import DecodeClip
from tvtsv2_mm.models import SpaceTimeViT
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.files import file_sha256
from tvtsv2_mm.utils.tokenizer import ClipTokenizer
from tvtsv2_mm.video.opening import open_video

IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
CLIP = ([122.7709383, 116.7460125, 104.09373615], [68.5005327, 66.6321579, 70.32316305])
SIZES = ('vit-b16', 'clip-b16')
RECOGNITION = {'hmdb51': ('train_split1.txt', 'test_split1.txt'),
               'ucf101': ('train_split1.txt', 'test_split1.txt'),
               'kinetics400': ('train.txt', 'val.txt')}

PAIRED = {'vinoground': 'Vinoground', 'cia-ssv2': 'CiA-Retrieval SSv2',
          'test-of-time': 'Test of Time, synthetic', 'rtime': 'RTime-Binary'}


def pixels_of(size):
    return CLIP if size.startswith('clip') else IMAGENET


def plain_clips(path, pixels, clips=1, crops=1):
    """Views (V, 12, 3, 224, 224) of a video, normalised: the release's way or CLIP's."""
    video = open_video(str(path))
    short, method = (224, Image.BICUBIC) if pixels is CLIP else (268, Image.NEAREST)
    total, views = video.num_frames, []
    for clip in range(clips):
        indices = []
        for i in range(min(12, total)):
            first = int(total * i / min(12, total))
            length = int(total * (i + 1) / min(12, total)) - first
            indices.append(first + ((2 * clip + 1) * length - 1) // (2 * clips))
        if pixels is CLIP:
            indices += [indices[-1]] * (12 - len(indices))
        images = [Image.fromarray(frame) for frame in video.get_frames(indices)]
        width, height = (int(short * side / min(images[0].size)) for side in images[0].size)
        frames = np.stack([np.asarray(image.resize((width, height), method), np.float32)
                           for image in images])
        rows, columns = frames.shape[1] - 224, frames.shape[2] - 224
        for share in (0.5, ) if crops == 1 else (0, 0.5, 1):
            top = round(rows * (share if rows > columns else 0.5))
            left = round(columns * (0.5 if rows > columns else share))
            crop = frames[:, top:top + 224, left:left + 224]
            view = np.zeros((12, 3, 224, 224), np.float32)
            view[:len(crop)] = ((crop - np.float32(pixels[0])) / np.float32(pixels[1])).transpose(
                0, 3, 1, 2)
            views.append(view)
    return torch.from_numpy(np.stack(views))


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


@torch.no_grad()
def video_embeds(model, folder, paths, pixels, **views):
    """(n, E) in float64; each video alone, each view alone."""
    embeds = []
    for path in paths:
        own = [model.backbone(view[None])[0][0].double().numpy()
               for view in plain_clips(folder / path, pixels, **views)]
        embeds.append(unit(np.mean([unit(embed) for embed in own], axis=0)))
    return np.stack(embeds)


@torch.no_grad()
def text_embeds(model, texts):
    tokens = ClipTokenizer()(texts)
    return np.stack([unit(model.neck(own[None])[0].double().numpy()) for own in tokens])


def result_of(folder: Path) -> dict:
    [path] = folder.glob('*/result.json')
    return json.loads(path.read_text())


def top1(scores, labels):
    return 100 * np.mean([int(np.argmax(own)) == label
                          for own, label in zip(scores, labels, strict=True)])


def class_embeds(model, prompts):
    return np.stack([unit(text_embeds(model, [p.format(name) for p in prompts]).mean(axis=0))
                     for name in CLASSES])


@pytest.mark.parametrize(('size', 'benchmark'), [
    *product(SIZES, RECOGNITION), ('vit-h', 'hmdb51'), ('vit-b16', 'kinetics700')])
def test_zero_shot(run, tmp_path, size, benchmark):
    name = f'{size}_zero-shot_{benchmark}.py'
    root = tmp_path / 'data' / benchmark
    splits = RECOGNITION.get(benchmark, RECOGNITION['kinetics400'])
    paths, labels = make_recognition(root, *splits)
    model = save_checkpoint(name, tmp_path / 'model.pth', classes=CLASSES)
    run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
        *small_options(name))
    videos = video_embeds(model, root / 'videos', paths, pixels_of(size))
    scores = videos @ class_embeds(model, ['a person {}']).T
    result = result_of(tmp_path / 'out')
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(top1(scores, labels))
    assert 'acc/top5' not in result['metrics']['raw']  # of three classes it cannot fail
    split = root / 'annotations' / splits[1]
    assert result['split']['sha256'] == file_sha256(split)
    assert (result['split']['used'], result['split']['failed']) == (5, 0)
    assert result['prompts'] == ['a person {}']


@pytest.mark.parametrize(('tool', 'name', 'split'), [
    ('test', 'vit-b16_zero-shot_hmdb51.py', 'test_split1.txt'),
    ('train', 'vit-b16_linear-probe_hmdb51.py', 'train_split1.txt'),
    ('train', 'vit-b16_linear-probe_hmdb51.py', 'test_split1.txt')])
def test_a_label_beyond_the_classes_is_told_at_the_start(run, tmp_path, tool, name, split):
    """Before a video is read, with file and line; training looks at both splits."""
    root = tmp_path / 'data' / 'hmdb51'
    make_recognition(root, *RECOGNITION['hmdb51'])
    with (root / 'annotations' / split).open('a') as file:
        file.write('\nnowhere.mp4 51\n')
    save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'model.pth')
    options = ['--cfg-options', *small_options(name)]
    if tool == 'train':
        options += ['load_from=model.pth', 'model.cls_head.embed_dim=32']
    else:
        options.insert(0, 'model.pth')
    with pytest.raises(SystemExit, match=rf'^error: .*{split}, line 7: label 51 does not fit'):
        run(tool, CONFIGS / name, *options)


def test_a_list_with_more_classes_than_the_data_set(run, tmp_path):
    name = 'vit-b16_zero-shot_hmdb51.py'
    root = tmp_path / 'data' / 'hmdb51'
    make_recognition(root, *RECOGNITION['hmdb51'])
    (root / 'classes.txt').write_text('name\n' + '\n'.join(f'class {i}' for i in range(51)))
    save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'model.pth')
    with pytest.raises(SystemExit, match=r'names 52 classes, but the config has num_classes=51'):
        run('test', CONFIGS / name, 'model.pth', '--cfg-options', *small_options(name))


def test_multi_view_and_own_prompts(run, tmp_path):
    name = 'vit-b16_zero-shot_hmdb51.py'
    root = tmp_path / 'data' / 'hmdb51'
    paths, labels = make_recognition(root, *RECOGNITION['hmdb51'])
    (tmp_path / 'prompts.txt').write_text('a video of a person {}.\n\n{} on a stage\n')
    digest = file_sha256(root / 'annotations' / 'test_split1.txt')
    (root / 'annotations' / 'counts.json').write_text(json.dumps(
        {'test_split1.txt': dict(annotated=7, used=5, missing=2, sha256=digest)}))
    model = save_checkpoint(name, tmp_path / 'model.pth', classes=CLASSES)
    pipeline = 'test_dataloader.dataset.pipeline'
    runner = run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
                 *small_options(name), 'model.cls_head.prompts=prompts.txt',
                 f'{pipeline}.1.num_clips=2', f'{pipeline}.3.mode=three',
                 'custom_hooks.0.out_file=own.json')
    expected = video_embeds(model, root / 'videos', paths, IMAGENET, clips=2, crops=3)
    classes = class_embeds(model, ['a video of a person {}.', '{} on a stage'])
    found = []
    with torch.no_grad():
        for batch in runner.test_dataloader:
            found += [sample.video_embed.numpy() for sample in runner.model.test_step(batch)]
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-4)
    result = json.loads((tmp_path / 'own.json').read_text())
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(
        top1(expected @ classes.T, labels))
    assert (result['views']['clips'], result['views']['crops']) == (2, 3)
    assert result['prompts'] == ['a video of a person {}.', '{} on a stage']
    assert (result['split']['annotated'], result['split']['missing']) == (7, 2)


def test_frames_otherwise_and_the_drop_in_the_table(run, tmp_path, capsys):
    """However many workers there are, and whichever word sets it."""
    name = 'vit-b16_zero-shot_hmdb51.py'
    root = tmp_path / 'data' / 'hmdb51'
    paths, labels = make_recognition(root, *RECOGNITION['hmdb51'])
    model = save_checkpoint(name, tmp_path / 'model.pth', classes=CLASSES)
    step = 'test_dataloader.dataset.pipeline.1'
    words = {'natural': [], 'shuffled': ['--frames', 'shuffled'],
             'again': [f'{step}.frames=shuffled', 'test_dataloader.num_workers=1'],
             'single': ['--frames', 'single']}
    shown = {}
    for key, own in words.items():
        options = [word for word in own if '=' in word]
        runner = run('test', CONFIGS / name, 'model.pth', '--work-dir', key,
                     *own[:len(own) - len(options)], '--cfg-options', *small_options(name),
                     *options)
        shown[key] = {
            sample.sample_id: sample.frame_inds.tolist() for batch in runner.test_dataloader
            for sample in batch['data_samples']}
    assert shown['shuffled'] == shown['again'] != shown['natural']
    assert {path: sorted(inds) for path, inds in shown['shuffled'].items()} == shown['natural']
    assert all(shown['single'][path] == [inds[(len(inds) - 1) // 2]]
               for path, inds in shown['natural'].items())
    results = {key: result_of(tmp_path / key) for key in words}
    assert {key: result['views']['frames_shown'] for key, result in results.items()} == {
        'natural': 'natural', 'shuffled': 'shuffled', 'again': 'shuffled', 'single': 'single'}
    assert results['shuffled']['metrics'] == results['again']['metrics']
    assert results['natural']['chance']['raw'] == {'acc/top1': pytest.approx(100 / 3)}
    low, high = results['natural']['intervals']['raw']['acc/top1']
    scores = {key: result['metrics']['raw']['acc/top1'] for key, result in results.items()}
    assert low <= scores['natural'] <= high

    # One frame alone, plainly.
    with torch.no_grad():
        embeds = [model.backbone(plain_clips(root / 'videos' / path, IMAGENET)[:, place][:, None])
                  for path in paths
                  for place in [(len(shown['natural'][path]) - 1) // 2]]
    plain = np.stack([unit(own[0][0].double().numpy()) for own in embeds])
    assert scores['single'] == pytest.approx(
        top1(plain @ class_embeds(model, ['a person {}']).T, labels))

    capsys.readouterr()
    run('compare_results', '--no-paper', *(
        f'{key}={path}' for key in ('shuffled', 'natural', 'single')
        for path in (tmp_path / key).glob('*/result.json')))
    printed = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in printed[2].split('|')[1:-1]] == [
        '', 'natural', 'drop shuffled', 'drop single', 'chance']
    drops = [cell.split()[0] for cell in printed[4].split('|')[3:5]]
    assert drops == [f'{scores["natural"] - scores[key]:.1f}' for key in ('shuffled', 'single')]


@pytest.mark.parametrize('size', SIZES)
def test_multiple_choice(run, tmp_path, size):
    name = f'{size}_multiple-choice_ssv2.py'
    root = tmp_path / 'data' / 'ssv2_mc'
    answers = [0, 1, 2, 3, 1]
    paths = make_captions(root, [
        dict(captions=SENTENCES[:4 + (i % 2)], answer=answer) for i, answer in enumerate(answers)])
    model = save_checkpoint(name, tmp_path / 'model.pth')
    run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
        *small_options(name))
    scores = (video_embeds(model, root / 'videos', paths, pixels_of(size))
              @ text_embeds(model, SENTENCES).T)
    expected = top1([own[:4 + (i % 2)] for i, own in enumerate(scores)], answers)
    result = result_of(tmp_path / 'out')
    assert result['metrics']['raw'] == {'multiple_choice/top1': pytest.approx(expected)}
    assert result['benchmark'] == 'SSv2-MC'


@pytest.mark.parametrize(('size', 'benchmark'), [
    *product(['vit-b16'], PAIRED), ('clip-b16', 'vinoground')])
def test_paired(run, tmp_path, size, benchmark):
    """Two pairs; of a third, a video is missing."""
    name = f'{size}_paired_{benchmark}.py'
    root = tmp_path / 'data' / benchmark.replace('-', '_')
    pairs = [SENTENCES[:2], SENTENCES[2:4], SENTENCES[:-3:-1]]
    answers = [0, 1, 1, 0, 0]
    paths = make_captions(root, [
        dict(captions=pairs[i // 2], answer=answer) for i, answer in enumerate(answers)])
    model = save_checkpoint(name, tmp_path / 'model.pth')
    run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
        *small_options(name))
    videos = video_embeds(model, root / 'videos', paths, pixels_of(size))
    scores = [videos[2 * i:2 * i + 2] @ text_embeds(model, texts).T
              for i, texts in enumerate(pairs)]
    own = [[int(np.argmax(row)) == answer for row, answer in zip(
        pair, answers[2 * i:], strict=False)] for i, pair in enumerate(scores)]
    # Of the second pair the first video is of the second text.
    by_text = [[int(np.argmax(pair[:, text])) == answers[2 * i:2 * i + 2].index(text)
                for text in (0, 1)] for i, pair in enumerate(scores[:2])]
    text, video = ([all(pair) for pair in found] for found in (own[:2], by_text))
    expected = {'v2t/R1': [*chain(*own)], 't2v/R1': [*chain(*by_text)], 'text_score': text,
                'video_score': video, 'group_score': [a and b for a, b in zip(
                    text, video, strict=True)]}
    result = result_of(tmp_path / 'out')
    assert result['metrics']['raw'] == {
        f'paired/{key}': pytest.approx(100 * np.mean(hits)) for key, hits in expected.items()}
    assert (result['protocol'], result['benchmark']) == ('paired', PAIRED[benchmark])


def figures(order_of_query, right):
    """R@1 and mean rank from the candidates' order of each query."""
    ranks = [1 + min(order.index(candidate) for candidate in own)
             for order, own in zip(order_of_query, right, strict=True)]
    return 100 * np.mean([rank == 1 for rank in ranks]), np.mean(ranks), np.median(ranks)


def ordered(scores):
    return [sorted(range(len(own)), key=lambda c: -own[c]) for own in scores.tolist()]


def plain_softmax_over_queries(scores):
    out = np.zeros_like(scores)
    for c in range(scores.shape[1]):
        weights = [math.exp((s - scores[:, c].max()) / 0.01) for s in scores[:, c]]
        out[:, c] = scores[:, c] * weights / sum(weights)
    return out


def plain_query_bank_norm(scores, bank):
    hubs = {own[0] for own in ordered(bank)}
    out = scores.copy()
    for q, own in enumerate(ordered(scores)):
        if own[0] in hubs:
            out[q] = [math.exp(20 * scores[q, c]) / sum(math.exp(20 * b) for b in bank[:, c])
                      for c in range(scores.shape[1])]
    return out


@pytest.mark.parametrize(('size', 'benchmark'), [
    *product(SIZES, ['msrvtt', 'didemo', 'lsmdc']), ('vit-b32', 'msrvtt'),
    ('vit-b16', 'msvd')])
def test_retrieval(run, tmp_path, size, benchmark):
    name = f'{size}_retrieval_{benchmark}.py'
    root = tmp_path / 'data' / benchmark
    captions = [SENTENCES[:1], SENTENCES[1:2], [SENTENCES[2], 'he names letters'], SENTENCES[3:4],
                SENTENCES[4:]]
    paths = make_captions(root, [dict(captions=own) for own in captions])
    bank = ['a dog runs', 'two people talk', 'a hand draws']
    write_jsonl(root / 'annotations' / 'train.jsonl', [dict(path='x.mp4', captions=bank[:2]),
                                                       dict(path='y.mp4', captions=bank[2:])])
    model = save_checkpoint(name, tmp_path / 'model.pth')
    run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
        *small_options(name))
    videos = video_embeds(model, root / 'videos', paths, pixels_of(size))
    texts = text_embeds(model, [text for own in captions for text in own])
    owners = [i for i, own in enumerate(captions) for _ in own]
    scores = texts @ videos.T
    result = result_of(tmp_path / 'out')
    train = root / 'annotations' / 'train.jsonl'
    assert result['query_bank'] == dict(
        file=f'data/{benchmark}/annotations/train.jsonl', sha256=file_sha256(train), texts=3,
        videos=0)
    metrics = result['metrics']
    assert sorted(metrics) == ['dsl', 'qb', 'raw']
    of_texts = [{owner} for owner in owners]
    of_videos = [{t for t, owner in enumerate(owners) if owner == v} for v in range(5)]
    bank_scores = text_embeds(model, bank) @ videos.T
    for group, direction, used, right in (
            ('raw', 't2v', scores, of_texts), ('raw', 'v2t', scores.T, of_videos),
            ('dsl', 't2v', plain_softmax_over_queries(scores), of_texts),
            ('dsl', 'v2t', plain_softmax_over_queries(scores.T), of_videos),
            ('qb', 't2v', plain_query_bank_norm(scores, bank_scores), of_texts)):
        found = tuple(metrics[group][f'{direction}/{key}'] for key in ('R1', 'MnR', 'MdR'))
        assert found == pytest.approx(figures(ordered(used), right)), (group, direction)


def test_retrieval_by_texts_that_videos_share(run, tmp_path):
    name = 'vit-b16_retrieval_ssv2-template.py'
    root = tmp_path / 'data' / 'ssv2_retrieval'
    kinds = [0, 1, 0, 1, 2]
    paths = make_captions(root, [dict(captions=[SENTENCES[kind]]) for kind in kinds])
    (root / 'annotations' / 'test.jsonl').rename(root / 'annotations' / 'template.jsonl')
    model = save_checkpoint(name, tmp_path / 'model.pth')
    run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
        *small_options(name))
    scores = (text_embeds(model, SENTENCES[:3])
              @ video_embeds(model, root / 'videos', paths, pixels_of('vit-b16')).T)
    metrics = result_of(tmp_path / 'out')['metrics']
    of_texts = [{v for v, kind in enumerate(kinds) if kind == text} for text in range(3)]
    for direction, used, right in (('t2v', scores, of_texts),
                                   ('v2t', scores.T, [{kind} for kind in kinds])):
        found = tuple(metrics['raw'][f'{direction}/{key}'] for key in ('R1', 'MnR', 'MdR'))
        assert found == pytest.approx(figures(ordered(used), right)), direction
    precisions = []
    for order, right in zip(ordered(scores), of_texts, strict=True):
        places = [place for place, video in enumerate(order, 1) if video in right]
        precisions.append(np.mean([(i + 1) / place for i, place in enumerate(places)]))
    assert metrics['raw']['t2v/mAP'] == pytest.approx(100 * np.mean(precisions))


def test_a_video_with_many_captions_is_decoded_and_encoded_once(run, tmp_path, monkeypatch):
    counts = dict(decoded=0, encoded=0)
    decode, encode = DecodeClip.transform_clips, SpaceTimeViT.forward

    def counted_decode(self, clips):
        counts['decoded'] += len(clips)
        return decode(self, clips)

    def counted_encode(self, video, *args):
        counts['encoded'] += len(video)
        return encode(self, video, *args)

    monkeypatch.setattr(DecodeClip, 'transform_clips', counted_decode)
    monkeypatch.setattr(SpaceTimeViT, 'forward', counted_encode)
    name = 'vit-b16_retrieval_msrvtt.py'
    make_captions(tmp_path / 'data' / 'msrvtt', [
        dict(captions=[f'{text} {i}' for i in range(20)]) for text in SENTENCES])
    write_grey_video(tmp_path / 'data' / 'msrvtt' / 'videos' / 'waving' / 'grey.mp4',
                     times=np.cumsum([0.02] * 25 + [0.5] * 15).tolist())
    save_checkpoint(name, tmp_path / 'model.pth')
    run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
        *small_options(name), 'test_evaluator.query_bank=None')
    assert counts == dict(decoded=5, encoded=5)
    result = result_of(tmp_path / 'out')
    assert sorted(result['metrics']) == ['dsl', 'raw'] and result['query_bank'] is None
    assert result['views']['spacing_used'] == {'index': 4, 'time': 1}
    assert result['views']['interpolation'] == 'nearest'


@pytest.mark.parametrize('benchmark', RECOGNITION)
@pytest.mark.parametrize('size', SIZES)
def test_linear_probe(run, tmp_path, size, benchmark):
    name = f'{size}_linear-probe_{benchmark}.py'
    root = tmp_path / 'data' / benchmark
    paths, labels = make_recognition(root, *RECOGNITION[benchmark])
    # A whole model is published; the probe takes its video encoder.
    model = save_checkpoint(f'{size}_retrieval_msrvtt.py', tmp_path / 'model.pth')
    options = [*small_options(name), 'model.cls_head.embed_dim=32', 'train_cfg.max_epochs=2',
               'train_cfg.val_interval=2', 'default_hooks.logger.interval=1',
               'optim_wrapper.optimizer.lr=0.1']
    if (size, benchmark) == ('vit-b16', 'hmdb51'):
        with pytest.raises(SystemExit, match='no trained cls_head'):
            run('test', CONFIGS / name, 'model.pth', '--cfg-options', *options)
    runner = run('train', CONFIGS / name, '--work-dir', 'out', '--cfg-options', *options,
                 'load_from=model.pth', 'custom_hooks.1.out_file=trained.json')
    runner.test()  # of other weights than those of load_from
    assert json.loads((tmp_path / 'trained.json').read_text())['trained_further']
    run('test', CONFIGS / name, 'out/epoch_2.pth', '--work-dir', 'tested', '--cfg-options',
        *options)
    weights = read_state_dict(tmp_path / 'out' / 'epoch_2.pth')
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(weights[f'backbone.{key}'], value), key
    weight, bias = (weights[f'cls_head.fc.{key}'].double().numpy() for key in ('weight', 'bias'))
    assert np.abs(bias).max() > 0
    scores = []
    for path in paths:
        with torch.no_grad():
            embed = model.backbone(plain_clips(root / 'videos' / path, pixels_of(size)))[0][0]
        scores.append(weight @ embed.double().numpy() + bias)
    result = result_of(tmp_path / 'tested')
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(top1(scores, labels))
    assert result['protocol'] == 'linear-probe' and not result['trained_further']
    assert result['checkpoint']['sha256'] == file_sha256(tmp_path / 'out' / 'epoch_2.pth')


def test_query_bank_with_videos(run, tmp_path):
    """QB-Norm from video to text, with the test videos themselves as a bank of queries."""
    name = 'vit-b16_retrieval_msrvtt.py'
    root = tmp_path / 'data' / 'msrvtt'
    paths = make_captions(root, [dict(captions=[text]) for text in SENTENCES])
    model = save_checkpoint(name, tmp_path / 'model.pth')
    source = (CONFIGS / name).as_posix()
    (tmp_path / 'own.py').write_text(f'_base_ = [{source!r}]\n' + '''
test_evaluator = dict(query_bank='data/msrvtt/annotations/test.jsonl')
bank = dict(_base_.test_dataloader, batch_size=2, num_workers=0)
custom_hooks = [
    dict(type='QueryBankHook', max_texts=3, video_dataloader=bank), dict(type='ResultFileHook')]
''')
    run('test', 'own.py', 'model.pth', '--work-dir', 'out', '--cfg-options', *small_options(name))
    videos = video_embeds(model, root / 'videos', paths, IMAGENET)
    scores = text_embeds(model, SENTENCES) @ videos.T
    metrics = result_of(tmp_path / 'out')['metrics']['qb']
    own = [{i} for i in range(5)]
    for direction, plain, bank in (('t2v', scores, scores[:3]), ('v2t', scores.T, scores.T)):
        expected = figures(ordered(plain_query_bank_norm(plain, bank)), own)
        found = tuple(metrics[f'{direction}/{key}'] for key in ('R1', 'MnR', 'MdR'))
        assert found == pytest.approx(expected), direction


def test_a_missing_query_bank_is_told_before_the_test(run, tmp_path):
    name = 'vit-b16_retrieval_lsmdc.py'
    make_captions(tmp_path / 'data' / 'lsmdc', [dict(captions=[text]) for text in SENTENCES])
    save_checkpoint(name, tmp_path / 'model.pth')
    with pytest.raises(SystemExit, match=r'^error: .*query bank.*query_bank=None'):
        run('test', CONFIGS / name, 'model.pth', '--cfg-options', *small_options(name))


def test_the_baseline_takes_clip_and_reports_what_it_took(run, tmp_path):
    """CLIP's text-and-image weights in a model with time: what is new is listed."""
    name = 'vit-b16_multiple-choice_ssv2.py'
    make_captions(tmp_path / 'data' / 'ssv2_mc', [
        dict(captions=SENTENCES, answer=1) for _ in range(5)])
    save_checkpoint(f'clip-b16_{name.split("_", 1)[1]}', tmp_path / 'model.pth')
    run('test', CONFIGS / name, 'model.pth', '--work-dir', 'out', '--cfg-options',
        *small_options(name))
    keys = result_of(tmp_path / 'out')['checkpoint']['keys']
    assert 'backbone.temporal_embedding' in keys['new']
    assert keys['taken'] == keys['tensors'] - len(keys['new']) and keys['unneeded'] == []


OWN_BACKBONES = MODEL_PARTS['backbone']
# Fine-tuning is MMAction2's: test_finetune_recognition.py. Others: test_peers.py.
FULL_SIZE = sorted(path.name for path in CONFIGS.glob('*_*_*.py')
                   if 'own-data' not in path.name and 'finetune' not in path.name
                   and Config.fromfile(path).model.backbone.type in OWN_BACKBONES)


@pytest.mark.parametrize('name', FULL_SIZE)
def test_every_config_builds_at_full_size(name):
    """Shapes alone, without memory for weights."""
    cfg = Config.fromfile(CONFIGS / name)
    if cfg.get('protocol') == 'zero-shot':
        cfg.model.cls_head.classes = CLASSES
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(cfg.model).eval()
        backbone = cfg.model.backbone
        video = torch.empty(1, backbone.num_frames, 3, *[backbone.image_size] * 2)
        width = backbone.embed_dim or backbone.width
        embeds = model.backbone(video)[0]
        assert embeds.shape == (1, width)
        if cfg.get('protocol') == 'linear-probe':
            assert model.cls_head.fc(embeds).shape == (1, cfg.num_classes)
        else:
            assert model.neck.embed_dim == width
