"""Fine-tuning for retrieval, by the tools: configs, LoRA, zero-shot before and after, WiSE-FT."""

import json
import os
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import run_ranks
from tests.test_tools.protocol_data import (
    CONFIGS,
    ROOT,
    SENTENCES,
    make_captions,
    make_recognition,
    make_small_shapes,
    save_checkpoint,
    small_options,
    write_jsonl,
)
from tests.tiny_model import save_tiny_checkpoint
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.checkpoints import read_state_dict
from tvtsv2_mm.checkpoints.lora import adapters_of, merge_lora, without_adapters
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes

DOCUMENT = (ROOT / 'docs' / 'finetuning.md').read_text('utf-8')
TINY = CONFIGS / 'tiny_finetune-retrieval.py'
LORA = [f'model.{part}.lora=dict(rank=2, alpha=4)' for part in ('backbone', 'neck')]
EMA = "custom_hooks=[dict(type='EMAHook', momentum=0.25), dict(type='ResumeDataHook')]"
CHECKED = re.compile(r'zero-shot on (.*), before -> after \(\S+\.pth\): acc/top1 (\S+) -> (\S+), ')


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """The embedded data, 8 videos to train and 12 to test on, and a checkpoint."""
    folder = tmp_path_factory.mktemp('shapes')
    make_small_shapes(folder / 'data')
    save_tiny_checkpoint(folder / 'tiny.pth')
    return folder


def options(shapes, *more):
    return ['--cfg-options', f'data_root={shapes}/data', 'train_dataloader.batch_size=4',
            f'load_from={shapes}/tiny.pth', 'train_cfg.max_epochs=2', *more]


@pytest.fixture(scope='module')
def adapted(run_once, shapes):
    """A checkpoint with adapters that have learnt something."""
    run_once(shapes, 'train', TINY, '--work-dir', 'adapted', *options(
        shapes, *LORA, 'optim_wrapper.optimizer.lr=1e-2', 'train_cfg.max_epochs=1',
        'default_hooks.zero_shot_check=None'))
    return shapes / 'adapted' / 'epoch_1.pth'


def log_of(folder):
    return ''.join(path.read_text() for path in sorted(Path(folder).glob('*/*.log')))


def result_of(folder):
    return json.loads(max(Path(folder).glob('*/result.json')).read_text())


def test_zero_shot_before_and_after_is_told(run, shapes):
    runner = run('train', TINY, '--work-dir', 'out', *options(shapes, 'train_cfg.max_epochs=1'))
    [best] = Path('out').glob('best_t2v_R1_epoch_*.pth')
    told = result_of('out')['zero_shot_check']
    found = CHECKED.search(log_of('out')).groups()
    assert found == ('six motions', f'{told["before"]["acc/top1"]:.2f}',
                     f'{told["after"]["acc/top1"]:.2f}')
    assert Path(told['weights']).samefile(best) and f'after ({best.name}): ' in log_of('out')
    tested = run('test', CONFIGS / 'tiny_zero-shot.py', best, '--cfg-options',
                 f'data_root={shapes}/data')
    metrics = tested.message_hub.log_scalars['test/acc/top1'].current()
    assert told['after']['acc/top1'] == pytest.approx(metrics)
    # A test in the same run says it as well.
    assert runner.message_hub.get_info('zero_shot_check') == told


def train_on_rank(rank, world_size, words):
    os.environ.update(LOCAL_RANK=str(rank), CUDA_VISIBLE_DEVICES='')
    sys.argv = ['train.py', *words]
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')


@pytest.mark.slow
def test_two_ranks_train_adapters_as_one_does(run, shapes, tmp_path):
    words = [str(TINY), '--seed', '0', '--work-dir']
    more = [*options(shapes, *LORA, 'train_cfg.max_epochs=1')]
    run('train', *words, 'one', *more)
    for folder, strategy in (('two', []), ('sharded', [
            'runner_type=FlexibleRunner', 'strategy.type=tvtsv2_mm.FullyShardStrategy'])):
        run_ranks(2, train_on_rank, [
            *words, str(tmp_path / folder), '--launcher', 'pytorch', *more,
            'train_dataloader.batch_size=2', *strategy])
        one, two = (read_state_dict(f'{place}/epoch_1.pth') for place in ('one', folder))
        assert one.keys() == two.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5, msg=name)
        one, two = (result_of(place)['zero_shot_check'] for place in ('one', folder))
        assert (one['before'], one['after']) == (two['before'], two['after'])


def test_a_check_without_its_data_is_left_out(run, shapes):
    run('train', TINY, '--work-dir', 'out', *options(
        shapes, 'default_hooks.zero_shot_check.dataloader.dataset.ann_file=none.txt',
        'train_cfg.max_epochs=1'))
    assert re.search('the zero-shot check is left out: there is no .*none.txt', log_of('out'))
    assert not [*Path('out').glob('*/result.json')]


def test_it_stops_where_retrieval_gets_no_better(run, shapes):
    runner = run('train', TINY, '--work-dir', 'out', *options(
        shapes, 'optim_wrapper.optimizer.lr=0.0', 'train_cfg.max_epochs=9',
        'default_hooks.zero_shot_check=None', 'default_hooks.early_stopping.patience=2'))
    assert runner.epoch == 3


def test_adapters_with_average_and_resumed(run, shapes):
    """The weights stay, adapters are trained and averaged; a resumed run is the whole one."""
    words = (TINY, '--seed', '0', '--work-dir')
    whole = run('train', *words, 'whole', *options(shapes, *LORA, EMA))
    run('train', *words, 'parts', *options(shapes, *LORA, EMA, 'train_cfg.max_epochs=1'))
    run('train', *words, 'parts', '--resume', *(
        word for word in options(shapes, *LORA, EMA) if 'load_from' not in word))
    assert CHECKED.search(log_of('parts').rsplit('Exp name', 1)[1])
    one, other = (read_state_dict(f'{folder}/epoch_2.pth') for folder in ('whole', 'parts'))
    assert one.keys() == other.keys() and adapters_of(one)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0, msg=name)
    start = read_state_dict(shapes / 'tiny.pth')
    for name, value in without_adapters(one).items():
        assert value.equal(start[name]), name
    assert all(value.any() for name, value in adapters_of(one).items() if 'qkv.lora_B' in name)
    # The file has the average, as mmengine's hook leaves it; the model in training is another.
    name = 'backbone.resblocks.0.attn.qkv.lora_B.default.weight'
    assert not whole.model.state_dict()[name].equal(one[name])


def test_a_checkpoint_with_adapters_is_taken_by_everything(run, shapes, adapted):
    figures = []
    for config, more in ((TINY, LORA), (TINY, []), (CONFIGS / 'tiny_retrieval.py', [])):
        tested = run('test', config, adapted, '--cfg-options', f'data_root={shapes}/data', *more)
        figures.append(tested.message_hub.log_scalars['test/t2v/MnR'].current())
    assert figures == pytest.approx(figures[:1] * 3)

    run('convert_checkpoint', adapted, 'merged.safetensors')
    merged, start = read_state_dict('merged.safetensors'), read_state_dict(shapes / 'tiny.pth')
    assert not adapters_of(merged) and merged.keys() <= start.keys()
    assert not merged['backbone.resblocks.0.attn.qkv.weight'].equal(
        start['backbone.resblocks.0.attn.qkv.weight'])
    for name, value in merge_lora(read_state_dict(adapted)).items():
        torch.testing.assert_close(merged[name], value)

    video = next((shapes / 'data' / 'videos').rglob('*.mp4'))
    features = []
    for model, weights in ((None, str(adapted)), ('lora.py', str(adapted)),
                           (str(CONFIGS / 'tiny_retrieval.py'), 'merged.safetensors')):
        Path('lora.py').write_text(f'_base_ = {str(TINY)!r}\n'
                                   'model = dict(backbone=dict(lora=dict(rank=2, alpha=4)))')
        infer = TVTSv2Inferencer(model, weights, device='cpu', show_progress=False)
        assert not adapters_of(infer.model.state_dict())
        features.append(torch.from_numpy(infer(str(video))['predictions'][0]['features']))
    assert not adapters_of(tested.model.state_dict())  # merged as well, by another way
    for own in features[1:]:
        torch.testing.assert_close(own, features[0], rtol=0, atol=1e-5)


def test_weights_in_between(run, shapes, adapted, capsys):
    words = ['--before', f'{shapes}/tiny.pth', '--after', adapted, '--work-dir', 'wise',
             '--cfg-options', f'data_root={shapes}/data']
    run('interpolate_weights', TINY, CONFIGS / 'tiny_zero-shot.py', *words, '--keep', '0.25')
    table = capsys.readouterr().out
    assert 'a = 0.25' in table and 'acc/top1' in table
    told = json.loads(Path('wise/interpolation.json').read_text())
    assert told['alphas'] == [0, 0.25, 0.5, 0.75, 1]
    assert Path('wise/interpolation.png').read_bytes().startswith(b'\x89PNG')
    for place, checkpoint in ((1, 'wise/weights_0.25.pth'), (4, adapted)):
        tested = run('test', TINY, checkpoint, '--cfg-options', f'data_root={shapes}/data')
        assert told['figures'][TINY.stem][place]['t2v/MnR'] == pytest.approx(
            tested.message_hub.log_scalars['test/t2v/MnR'].current())
    before, after, between = (read_state_dict(path) for path in (
        shapes / 'tiny.pth', adapted, 'wise/weights_0.25.pth'))
    after = merge_lora(after)
    for name, value in between.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * after[name])


@pytest.mark.parametrize(('words', 'message'), [
    (['--alphas', '0', '2'], 'must lie in 0..1, not 2'),
    (['--keep', '-1'], 'must lie in 0..1, not -1'),
    (['--after', 'none.pth'], 'there is no checkpoint none.pth'),
    (['--after', 'smaller.pth'], 'smaller.pth: the checkpoint .* does not fit'),
    (['--after', 'timeless.pth'], 'timeless.pth lacks weights that are to be interpolated'),
])
def test_checkpoints_that_do_not_fit_are_one_error(run, shapes, words, message, capsys):
    weights = read_state_dict(shapes / 'tiny.pth')
    torch.save({name: value for name, value in weights.items()
                if not re.search('temporal|timeattn|ln_3', name)}, 'timeless.pth')
    torch.save({name: value[:-1] if name == 'backbone.proj' else value
                for name, value in weights.items()}, 'smaller.pth')
    with pytest.raises(SystemExit) as stop:
        run('interpolate_weights', CONFIGS / 'tiny_zero-shot.py', '--before', shapes / 'tiny.pth',
            '--after', shapes / 'tiny.pth', *words, '--work-dir', 'wise', '--cfg-options',
            f'data_root={shapes}/data')
    told = stop.value.code if isinstance(stop.value.code, str) else capsys.readouterr().err
    assert re.search(f'error: .*{message}', told)
    assert not Path('wise/interpolation.json').exists()


@pytest.mark.parametrize('name', ['vit-b16_finetune_msrvtt.py', 'vit-b16_finetune_msrvtt_lora.py'])
def test_msrvtt(run, tmp_path, name):
    """Trained on the training videos but for the held-out ones, tested on the others."""
    root = tmp_path / 'data' / 'msrvtt'
    paths = make_captions(root, [dict(captions=[text]) for text in SENTENCES])
    write_jsonl(root / 'annotations' / 'train.jsonl', [
        dict(path=path, captions=[text, f'{text} again'])
        for path, text in zip(paths, SENTENCES, strict=True)])
    make_recognition(tmp_path / 'data' / 'hmdb51', 'train_split1.txt', 'test_split1.txt')
    save_checkpoint('vit-b16_retrieval_msrvtt.py', tmp_path / 'model.pth')
    runner = run('train', CONFIGS / name, '--work-dir', 'out', '--cfg-options',
                 *small_options(name), 'load_from=model.pth', 'train_cfg.max_epochs=1',
                 'train_dataloader.dataset.times=1')
    train, val = runner.train_dataloader.dataset.dataset, runner.val_dataloader.dataset
    assert (len(train), len(val)) == (3, 2)
    [(_, found)] = [CHECKED.search(log_of('out')).groups()[:2]]
    assert result_of('out')['zero_shot_check']['benchmark'] == 'HMDB51' and float(found) >= 0
    assert bool(adapters_of(runner.model.state_dict())) is ('lora' in name)
    run('test', CONFIGS / name, 'out/epoch_1.pth', '--work-dir', 'tested', '--cfg-options',
        *small_options(name))
    result = result_of('tested')
    assert result['protocol'] == 'finetune-retrieval' and {'raw', 'dsl', 'qb'} == {
        *result['metrics']}


@pytest.mark.parametrize('sorting', [False, True])
def test_own_captions_with_sorting_where_there_are_transcripts(run, tmp_path, sorting):
    name = 'vit-b16_finetune_own-data.py'
    build_narrated_shapes(tmp_path, NarratedShapesOptions(
        transcript_videos=(6, 0), clip_rounds=(0, 0), order_clips=(0, 0)))
    transcripts = (tmp_path / 'annotations' / 'transcripts_train.jsonl').read_text()
    paths = [json.loads(line)['path'] for line in transcripts.splitlines()]
    write_jsonl(tmp_path / 'videos' / 'captions.jsonl', [
        dict(path=path, captions=[path]) for path in paths])
    if sorting:
        (tmp_path / 'videos' / 'transcripts.jsonl').write_text(transcripts)
    lora = [] if sorting else re.search(  # as docs/finetuning.md has it
        r'(model\.backbone\.lora.*?paramwise_cfg=None)', DOCUMENT, re.DOTALL)[1].split()
    runner = run('train', CONFIGS / name, '--work-dir', 'out', '--cfg-options',
                 *small_options(name), *(word for word in lora if word != '\\'),
                 'data_root=videos', 'load_from=None',
                 'train_cfg.max_epochs=1', 'model.sorting_head.embed_dim=32',
                 'model.sorting_head.heads=2', 'model.backbone.image_size=64')
    scalars = runner.message_hub.log_scalars
    assert {'val/t2v/R1', 'train/loss_contrastive'} <= {*scalars}
    assert ('train/loss_sorting' in scalars) is sorting
    assert bool(adapters_of(runner.model.state_dict())) is not sorting
    val = {runner.val_dataloader.dataset.get_data_info(k)['sample_id'] for k in range(2)}
    for dataset in runner.train_dataloader.dataset.datasets:
        assert not val & {dataset.get_data_info(k)['sample_id'] for k in range(len(dataset))}
