import argparse
from pathlib import Path

import pytest
from mmengine.config import Config

from tvtsv2_mm.apis.launch.arguments import ReadOverrides
from tvtsv2_mm.apis.launch.overrides import apply_overrides, read_value
from tvtsv2_mm.apis.launch.runs import load_config
from tvtsv2_mm.utils.config_errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / 'tvtsv2'


@pytest.mark.parametrize(('text', 'value'), [
    ("[dict(type='EMAHook', momentum=1e-3)]", [dict(type='EMAHook', momentum=1e-3)]),
    ("dict(a=1,b=dict(c='x y'))", dict(a=1, b=dict(c='x y'))), ('{}', {}),
    ('1', 1), ('1e-3', 1e-3), ('true', True), ('None', None), ('1,2', [1, 2]), ('(1,)', (1, )),
    ('"[(1,2),(3,4)]"', [(1, 2), (3, 4)]), ('[a,b]', ['a', 'b']), ('a=b', 'a=b'), ('', ''),
    ('[a video of {}, 2]', ['a video of {}', 2]), ('my videos', 'my videos'),
    ('my videos, all', 'my videos, all'), ('epoch_1.pth', 'epoch_1.pth'),
])
def test_values(text, value):
    read = read_value(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize('text', ['a', '=1', 'a..b=1', 'a=dict(b=c)', 'a=[1,(2]',
                                  "a=dict(b=open('x'))"])
def test_values_that_cannot_be_read_are_named(text, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ReadOverrides)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', text])
    told = capsys.readouterr().err
    assert text.removeprefix('a=') in told and len(told.splitlines()) == 1


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('model.backbone.widht', 96, r'model\.backbone\.widht: .* mean width\?'),
    ('model.bakbone.width', 96, r'model\.bakbone: .* mean backbone\?'),
    ('modle.backbone.width', 96, r'modle: nothing reads .* mean model\?'),
    ('lr', 1e-3, r'lr: nothing reads .* there is optim_wrapper\.optimizer\.lr'),
    ('train_cfg.max_epoch', 3, r'mean max_epochs\?'),
    ('train_dataloader.batchsize', 3, r'train_dataloader\.batchsize: .* mean batch_size'),
    ('train_dataloader.batch_size', 'abc', r'a number is needed, such as 12, not .abc.'),
    ('train_dataloader.persistent_workers', 3, 'True or False is needed'),
    ('train_dataloader.dataset.datasets.0.ann_fil', 'x', r'mean ann_file\?'),
    ('train_dataloader.dataset.datasets.7.ann_file', 'x', 'has 2 entries, 0 to 1, and no 7'),
    ('optim_wrapper.optimiser.lr', 1, r'mean optimizer\?'),
    ('optim_wrapper.clip_grad.max_nrom', 1, r'mean max_norm\?'),
    ('randomness.sed', 1, r'mean seed\?'),
    ('default_hooks.chekpoint.interval', 2, r'mean checkpoint\?'),
    ('custom_hooks', 'EMAHook', 'this is a list'),
    ('custom_imports.imports', ['a'], 'custom_imports.imports: imports are made when a config'),
    ('random_clip.0.interpolation', 'fast', 'random_clip is only a name'),
    ('optim_wrapper.optimizer.lrr', 1, r'AdamW has no lrr; did you mean lr\?'),
    ('default_hooks.checkpoint.intervall', 2, r'mean interval\?'),
    ('env_cfg.cudnn_benchmrk', True, r'mean cudnn_benchmark\?'),
    ('model.backbone.width.x', 1, r'model\.backbone\.width is 96, which has no x'),
    ('model', 3, r'model: this is a section'),
    ('val_evaluator.0.topk', 3, 'SortingAccuracy has no topk; it has collect_device'),
    ('segments.num_segments', 3,
     r'segments is only a name .* into train_dataloader\.dataset\.datasets\.0\.pipeline\.0'),
])
def test_a_wrong_key_names_the_right_one(key, value, message):
    with pytest.raises(ConfigError, match=message) as error:
        apply_overrides(load_config(str(CONFIGS / 'tiny_pretrain_own-data.py')), {key: value})
    assert str(error.value).startswith(key.split('.')[0])
    assert len(str(error.value).splitlines()) == 1


def test_a_name_of_the_file_whose_value_was_taken_over():
    cfg = load_config(str(CONFIGS / 'vit-b16_linear-probe_hmdb51.py'))
    for key, message in {'num_classes': r'into model\.cls_head\.num_classes',
                         'train_set.ann_file': r'into train_dataloader\.dataset'}.items():
        with pytest.raises(ConfigError, match=message):
            apply_overrides(cfg, {key: 3})


@pytest.mark.parametrize(('key', 'value'), [
    ('model.backbone.width', 128), ('model.micro_batch_size', 2), ('compile', True),
    ('train_cfg.max_epochs', 2), ('optim_wrapper.accumulative_counts', 2), ('mask_ratio', 0.3),
    ('tokenizer', 'my_folder'),
    ('optim_wrapper.clip_grad.max_norm', 1), ('find_unused_parameters', True),
    ('default_hooks.ema', dict(type='EMAHook')), ('default_hooks.checkpoint.save_best', 'auto'),
    ('randomness.seed', 3), ('test_dataloader.drop_last', True), ('val_dataloader', None),
    ('train_dataloader.dataset.datasets.0.quarantine', 'bad.txt'), ('my_own_name', None),
    ('train_dataloader.sampler.type', 'SeededSampler'), ('model_wrapper_cfg.static_graph', True),
    ('visualizer.vis_backends.0.type', 'TensorboardVisBackend'), ('custom_hooks.0.priority', 10),
])
def test_a_right_key_is_taken(key, value):
    cfg = load_config(str(CONFIGS / 'tiny_pretrain_own-data.py'))
    cfg.my_own_name = 3
    apply_overrides(cfg, {key: value})
    node = cfg
    for name in key.split('.'):
        node = node[int(name) if name.isdigit() else name]
    assert node == value


def test_data_root_moves_what_lies_below_it():
    cfg = load_config(str(CONFIGS / 'vit-b16_retrieval_msrvtt.py'))
    apply_overrides(cfg, dict(data_root='my data'))
    assert cfg.test_dataloader.dataset.data_root == 'my data'
    assert cfg.test_evaluator.query_bank == 'my data/annotations/train.jsonl'


def test_a_list_is_no_section():
    with pytest.raises(ConfigError, match=r'log_processor\.b: this is a list; give one, or'):
        apply_overrides(Config(dict(log_processor=dict(b=[1]))), {'log_processor.b': dict(c=1)})
    cfg = Config(dict(model=dict(prompts=['a {}'])))
    apply_overrides(cfg, {'model.prompts': 'paper'})
    assert cfg.model.prompts == 'paper'
