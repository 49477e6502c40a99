"""Models of transformers as a user of the tools meets them: the folder is enough."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope

from tests.hugging_face_models import SIDE, make_folder, pixels_of, tokens_of
from tests.test_tools.protocol_data import CONFIGS, make_captions, make_recognition, write_jsonl
from tests.test_tools.test_protocols import result_of, unit
from tvtsv2_mm.apis.features.shards import load_features
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model
from tvtsv2_mm.apis.launch.overrides import apply_overrides, read_value
from tvtsv2_mm.apis.launch.runs import load_config
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.datasets.frame_indices import clip_frames
from tvtsv2_mm.evaluation.results import describe_views
from tvtsv2_mm.models.hugging_face_part import features_of
from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.video.opening import open_video

CLASSES = ['dog runs', 'a cat sleeps', 'man']
LOADERS = [f'{loader}.{key}' for loader in ('test_dataloader', )
           for key in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')]


def frames_of(path, num_frames):
    """The middle frames of a video at full size, uint8 (T, H, W, 3)."""
    reader = open_video(str(path))
    indices = clip_frames(0, reader.num_frames, num_frames, 1)[0]
    frames = reader.get_frames(np.pad(indices, (0, num_frames - len(indices)), mode='edge'))
    reader.close()
    return frames


@torch.no_grad()
def their_embedding(theirs, folder, path, num_frames):
    """Of a video, by the library's own processor and model; l2-normalised."""
    pixels = pixels_of(folder, frames_of(path, num_frames))
    if hasattr(theirs, 'get_image_features'):
        frames = features_of(theirs.get_image_features(**pixels))
        return unit(F.normalize(frames, dim=-1).mean(dim=0).numpy())
    return unit(features_of(theirs.get_video_features(**pixels))[0].numpy())


@torch.no_grad()
def their_texts(theirs, folder, texts):
    tokens = tokens_of(folder, texts)
    tokens.pop('token_type_ids', None)
    return unit(features_of(theirs.get_text_features(**tokens)).numpy())


@pytest.fixture
def hmdb51(tmp_path):
    root = tmp_path / 'data' / 'hmdb51'
    paths, labels = make_recognition(root, 'train_split1.txt', 'test_split1.txt')
    (root / 'classes.txt').write_text('\n'.join(CLASSES))
    return root, paths, labels


@pytest.mark.parametrize('kind', ['siglip', 'chinese_clip'])
def test_zero_shot_and_features_by_the_folder_alone(run, tmp_path, hmdb51, kind):
    root, paths, labels = hmdb51
    theirs = make_folder(tmp_path / 'model', kind)
    runner = run('test', CONFIGS / 'hugging-face_zero-shot_hmdb51.py', 'model', '--work-dir',
                 'out', '--cfg-options', *LOADERS)
    result = result_of(tmp_path / 'out')
    assert result['backbone'].startswith('transformers.') and result['checkpoint']['keys'][
        'new'] == []
    assert result['views']['crop_size'] == SIDE and result['views']['frames'] == 12
    assert result['normalisation'] == dict(
        mean=[127.5, 114.75, 102.0], std=[127.5, 140.25, 153.0])
    assert result['texts']['prompts'] == dict(number=3, cut=0)

    videos = np.stack([their_embedding(theirs, tmp_path / 'model', root / 'videos' / path, 12)
                       for path in paths])
    classes = their_texts(theirs, tmp_path / 'model', [f'a person {name}' for name in CLASSES])
    found = (videos @ classes.T).argmax(axis=1)
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(100 * np.mean(found == labels))
    assert runner.model.backbone.hf.config.model_type == kind

    run('extract_features', root / 'videos', 'features', '--checkpoint', 'model', '--device',
        'cpu', '--num-workers', 0)
    features = load_features('features')
    order = [features.videos.index(path) for path in paths]
    np.testing.assert_allclose(features.features[order], videos, atol=1e-5)
    infer = TVTSv2Inferencer(weights='model', device='cpu', texts_only=True)
    np.testing.assert_allclose(
        infer.embed_texts(['a dog runs']), their_texts(theirs, tmp_path / 'model', ['a dog runs']),
        atol=1e-5)


def test_xclip_by_its_own_forward_and_its_own_protocol_in_one_table(run, tmp_path, hmdb51, capsys):
    root, paths, labels = hmdb51
    theirs = make_folder(tmp_path / 'xclip', 'xclip')
    theirs_as_pictures = make_folder(tmp_path / 'clip', 'clip')
    for name in ('xclip-b16_zero-shot_hmdb51', 'xclip-b16_zero-shot_hmdb51_published'):
        run('test', CONFIGS / f'{name}.py', 'xclip', '--work-dir', name, '--cfg-options', *LOADERS)
    run('test', CONFIGS / 'hugging-face_zero-shot_hmdb51.py', 'clip', '--work-dir', 'clip_run',
        '--cfg-options', *LOADERS)
    result = result_of(tmp_path / 'xclip-b16_zero-shot_hmdb51')
    assert result['views']['frames'] == 4 and result['backbone'] == 'transformers.XCLIPModel'
    found = []
    texts = tokens_of(tmp_path / 'xclip', [f'a person {name}' for name in CLASSES])
    for path in paths:
        pixels = pixels_of(tmp_path / 'xclip', frames_of(root / 'videos' / path, 4))
        with torch.no_grad():
            found.append(theirs(**pixels, **texts).logits_per_video.argmax().item())
    expected = 100 * np.mean(np.array(found) == labels)
    assert result['metrics']['raw']['acc/top1'] == pytest.approx(expected)
    videos = np.stack([their_embedding(theirs_as_pictures, tmp_path / 'clip', root / 'videos'
                                       / path, 12) for path in paths])
    classes = their_texts(theirs_as_pictures, tmp_path / 'clip',
                          [f'a person {name}' for name in CLASSES])
    expected = 100 * np.mean((videos @ classes.T).argmax(axis=1) == labels)
    assert result_of(tmp_path / 'clip_run')['metrics']['raw']['acc/top1'] == pytest.approx(expected)

    capsys.readouterr()
    files = [next((tmp_path / name).glob('*/result.json')) for name in (
        'clip_run', 'xclip-b16_zero-shot_hmdb51', 'xclip-b16_zero-shot_hmdb51_published')]
    run('compare_results', '--peers', '--no-paper', *files)
    head, *lines = [[cell.strip(' *') for cell in line.split('|')[1:-1]] for line in
                    capsys.readouterr().out.splitlines() if line.startswith('|')]
    *table, chance = [dict(zip(head, line, strict=True)) for line in lines]
    assert chance['acc/top1'] == f'{100 / len(CLASSES):.1f}'
    assert [line['protocol of'] for line in table] == ['-', '-', 'X-CLIP, arXiv 2208.02816']
    assert [line['frames'] for line in table] == ['12 middle', '4 middle', '4 middle']
    assert [line['prompts'] for line in table] == ['a person {}', 'a person {}', '{}']
    assert [line['scaled to'] for line in table] == [
        '32 of 32, bicubic', '32 of 32, bilinear', '32 of 256, cv2_bilinear']
    assert len({line['normalisation'] for line in table}) == 1


def test_retrieval_and_search(run, tmp_path, capsys):
    sentences = ['a dog runs', 'the cat', 'a man sleeps in grass', 'video of a person', 'dog']
    root = tmp_path / 'data' / 'msrvtt'
    paths = make_captions(root, [dict(captions=[text]) for text in sentences])
    write_jsonl(root / 'annotations' / 'train.jsonl', [dict(path='x.mp4', captions=['a dog'])])
    theirs = make_folder(tmp_path / 'model', 'align')
    run('test', CONFIGS / 'hugging-face_retrieval_msrvtt.py', 'model', '--work-dir', 'out',
        '--cfg-options', *LOADERS)
    result = result_of(tmp_path / 'out')
    videos = np.stack([their_embedding(theirs, tmp_path / 'model', root / 'videos' / path, 12)
                       for path in paths])
    scores = their_texts(theirs, tmp_path / 'model', sentences) @ videos.T
    expected = 100 * np.mean(scores.argmax(axis=1) == np.arange(5))
    assert result['metrics']['raw']['t2v/R1'] == pytest.approx(expected)
    assert result['query_bank']['texts'] == 1 and 'qb' in result['metrics']

    run('extract_features', root / 'videos', 'features', '-C', 'model', '--config',
        CONFIGS / 'hugging-face_retrieval_msrvtt.py', '--device', 'cpu', '--num-workers', 0)
    capsys.readouterr()
    run('search', 'features', 'a dog runs', '-C', 'model', '--device', 'cpu', '--json')
    told = capsys.readouterr().out  # mmengine's log of this process comes first
    [prediction] = json.loads(told[told.index('{'):])['predictions']
    assert prediction['videos'][0] == paths[scores[0].argmax()]


def test_a_probe_on_one_and_a_test_of_what_was_trained(run, tmp_path, hmdb51):
    theirs = make_folder(tmp_path / 'model', 'clip')
    name = CONFIGS / 'hugging-face_linear-probe_hmdb51.py'
    loaders = [f'{loader}.{key}' for loader in ('train_dataloader', 'val_dataloader',
                                                'test_dataloader')
               for key in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')]
    runner = run('train', name, '--work-dir', 'out', '--cfg-options', *loaders,
                 'load_from=model', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1')
    for key, value in theirs.state_dict().items():  # nothing of it was trained
        own = runner.model.state_dict().get(f'backbone.hf.{key}', value)
        torch.testing.assert_close(own.cpu(), value)
    run('test', name, 'out/epoch_1.pth', '--work-dir', 'tested', '--cfg-options', *loaders,
        'model.backbone.folder=model')
    tested = result_of(tmp_path / 'tested')
    assert tested['checkpoint']['keys']['new'] == [] and tested['views']['frames'] == 12
    with pytest.raises((CheckpointError, SystemExit)):
        run('test', name, 'out/epoch_1.pth', '--work-dir', 'other', '--cfg-options', *loaders)


def rows_of_peers():
    """Of the table in docs/peers.md: a config of the system, and the options that it names."""
    systems = {'TVTSv2': ('vit-b16', 'clip-b16', 'pe-b16', 'siglip2-b16', 'hugging-face'),
               'X-CLIP': ('xclip-b16', ), 'ViCLIP': ('viclip-b16', 'viclip-l14'),
               'InternVideo': ('internvideo-b16', ), 'ImageBind': ('imagebind-huge', )}
    for line in (CONFIGS.parents[1] / 'docs' / 'peers.md').read_text('utf-8').splitlines():
        name, _, rest = line.removeprefix('| ').partition(' |')
        for config in systems.pop(name.split(',')[0], ()):
            yield config, [word for word in rest.split('|')[0].strip(' `').split() if '=' in word]
    assert not systems


@pytest.mark.parametrize(('config', 'options'), rows_of_peers())
def test_all_peers_take_the_same_frames(tmp_path, config, options):
    """Those of the table, by the options in it."""
    for folder, kind in (('hugging-face', 'clip'), ('siglip2-b16', 'siglip2'),
                         ('xclip-b16', 'xclip')):
        if config == folder:
            make_folder(tmp_path, kind)
    cfg = load_config(str(CONFIGS / f'{config}_retrieval_msrvtt.py'))
    cfg.load_from = str(tmp_path)
    apply_overrides(cfg, {key: read_value(value) for key, value in (
        option.split('=') for option in [*options, 'protocol_of=us'])})
    fit_to_model(cfg)
    views = describe_views(cfg.test_dataloader.dataset.pipeline)
    frames = {'viclip-b16': 8, 'viclip-l14': 8, 'xclip-b16': 4}.get(config, 12)
    assert (views['frames'], views['sampling'], views['clips'], views['crops']) == (
        frames, 'middle', 1, 1)
    assert cfg.model.backbone.num_frames in (frames, 8)  # InternVideo's are for any number
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        for step in cfg.test_dataloader.dataset.pipeline:
            TRANSFORMS.build(step)
