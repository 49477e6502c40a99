"""What a reader copies out of the documents works.

The blocks of a document are taken in their order, in a folder that holds what they name:

- **run**: blocks of Python, and commands of the tools in ``RUN``, with the options there, which
  make them small and say that there is no GPU; of ``train`` and ``test`` those whose config is in
  ``SMALL_RUNS``, in one process whatever the launcher. Words in capitals stand for files of the
  folder (``stand_in``), and so do names of weights and checkpoints of runs that did not take place;
  the models of the large configs have two narrow layers.
- **checked** alone: all other commands, for which there are no data, GPUs, processes or network.
  Their own parser has to take the words; files of the checkout and packages' extras have to be
  there; and of a config, with its ``--cfg-options``, model (with two narrow layers), transforms and
  metrics are built. Configs in blocks of Python are checked so too. What is checked here is run
  elsewhere: the benchmarks' converters in test_prepare_benchmarks.py, their protocols in
  test_protocols*.py, the launchers in test_train_and_test.py.
- **marked** by a comment before the block that says why: ten at the most.

Blocks of text and JSON are pictures, and only have to say so.
"""

import ast
import glob
import json
import re
import runpy
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from tests.document_blocks import Block, commands_of, read_blocks
from tests.test_tools.protocol_data import (
    CONFIGS,
    SMALL,
    make_captions,
    make_recognition,
    make_small_shapes,
)
from tests.test_tools.test_documents import DOCUMENTS
from tests.tiny_model import ROOT, VIDEOS, save_tiny_checkpoint
from tvtsv2_mm.apis.launch.runs import load_config
from tvtsv2_mm.registry import METRICS, MODELS, TRANSFORMS
from tvtsv2_mm.utils.extras import EXTRAS

MOST_MARKED = 10
CPU = ['--device', 'cpu']
# Tools that are run, and what makes them small.
RUN = {
    'check_release_equality': [], 'compare_results': [], 'convert_checkpoint': [],
    'csv_to_annotations': [], 'find_duplicates': [], 'inspect_annotations': ['--sample', '4'],
    'make_shards': ['--workers', '1', '--min-seconds', '0.1'], 'subtitles_to_transcripts': [],
    'export_features': [],
    'demo': CPU, 'search': CPU, 'extract_features': [*CPU, '--num-workers', '0'],
    'make_narrated_shapes': ['--transcript-videos', '4', '2', '--clip-rounds', '0', '1',
                             '--order-clips', '0', '0', '--workers', '1'],
    'train': [], 'test': [],
}
# Of these there are data in the folder: configs that are run, and not checked alone.
SMALL_RUNS = {
    'tiny_zero-shot', 'tiny_retrieval', 'tiny_sorting', 'tiny_finetune-retrieval',
    'tiny_pretrain_own-data', 'vit-b16_pretrain_own-data', 'vit-b16_finetune_own-data',
    'vit-b16_zero-shot_hmdb51', 'vit-b16_retrieval_msrvtt', 'my_config',
}
SMALLER = SMALL | {'model.sorting_head.embed_dim': 32, 'model.sorting_head.heads': 2,
                   'model.cls_head.embed_dim': 32}
FEW = {f'{loader}_dataloader.{key}' for loader in ('train', 'val', 'test')
       for key in ('batch_size=4', 'num_workers=0', 'persistent_workers=False')}
# What python blocks take for granted.
GIVEN = dict(Path=Path, paths=['a.mp4'], v='a.mp4', t='a dog',
             frames=np.zeros((8, 64, 64, 3), np.uint8))
BLOCKS = {path: read_blocks(path) for path in DOCUMENTS}
OF_COMMANDS = {path: blocks for path, blocks in BLOCKS.items()
               if any(block.language in ('bash', 'python') for block in blocks)}


class ParsedEnough(Exception):
    """Stops a tool where it has read its command line."""


@pytest.fixture(scope='module')
def prepared(tmp_path_factory, narrated):
    """What the documents name, once for all of them."""
    root = tmp_path_factory.mktemp('reader')
    for name in ('VIDEOS', 'videos'):
        (root / name).mkdir()
        for video in ('example.mp4', 'part_0.mp4'):
            shutil.copy(VIDEOS / video, root / name)
    for name in ('a.mp4', 'b.mp4', 'clip.mp4', 'clips/a.mp4'):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(VIDEOS / 'part_0.mp4', root / name)
    Image.new('RGB', (80, 60), 'red').save(root / 'photo.jpg')
    shutil.copytree(narrated, root / 'my_videos')
    (root / 'my_videos/indoors').mkdir()
    for name in 'ab':
        shutil.copy(VIDEOS / 'example.mp4', root / f'my_videos/indoors/{name}.mp4')
    for k in range(2):
        shutil.copy(root / f'my_videos/{("kitchen", "garden")[k]}/talk {k}.mp4', root / 'my_videos')
    (root / 'my.csv').write_text('path,label\nindoors/a.mp4,opening a door\n'
                                 'indoors/b.mp4,closing a door\n')
    (root / 'my_annotations/annotations').mkdir(parents=True)  # of another csv, with captions
    (root / 'my_annotations/annotations/test.jsonl').write_text(''.join(json.dumps(dict(
        path=f'indoors/{name}.mp4', captions=[f'door {name}'])) + '\n' for name in 'ab'))
    (root / 'MY_VIDEOS').mkdir()
    lines = [dict(path=f'{k}.mp4', captions=[f'video {k}']) for k in range(8)]
    for line in lines:
        shutil.copy(VIDEOS / 'part_0.mp4', root / 'MY_VIDEOS' / line['path'])
    (root / 'MY_VIDEOS/captions.jsonl').write_text(''.join(json.dumps(x) + '\n' for x in lines))
    (root / 'train.jsonl').write_text(json.dumps(dict(
        path='a.mp4', duration=2.0, words=[['a', 0.1, 0.5], ['dog', 0.6, 0.9]])) + '\n')
    (root / 'data/yt_temporal/videos').mkdir(parents=True)
    shutil.copy(VIDEOS / 'part_0.mp4', root / 'data/yt_temporal/videos/a.mp4')
    make_small_shapes(root / 'data/narrated_shapes', transcript_videos=(4, 2))
    (root / 'data/hmdb51').mkdir()
    make_recognition(root / 'data/hmdb51', 'train_split1.txt', 'test_split1.txt')
    (root / 'data/msrvtt').mkdir()
    make_captions(root / 'data/msrvtt', [dict(captions=[f'text {k}']) for k in range(5)])
    shutil.copy(root / 'data/msrvtt/annotations/test.jsonl',
                root / 'data/msrvtt/annotations/train.jsonl')
    # Results of runs that a reader has behind him.
    save_tiny_checkpoint(root / 'tiny.pth')
    save_small_checkpoint(root / 'TVTSv2_ViT_B_16.pth')
    for name in ('TVTSv2_ViT_H_14.pth', 'ViT-B-16.pt', 'best.pth', 'PE-Core-B16-224.pt'):
        (root / name).symlink_to('TVTSv2_ViT_B_16.pth')
    shutil.copy(root / 'train.jsonl', root / 'OUT.jsonl')
    (root / 'FOLDER').symlink_to('data/yt_temporal/videos')
    return root


def save_small_checkpoint(path):
    """B/16 with two narrow layers, as a pre-training writes it."""
    cfg = load_config(str(CONFIGS / 'vit-b16_pretrain_own-data.py'))
    cfg.merge_from_dict(small_model(cfg.model))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)), path)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder in which a document is worked through, with what of the checkout it names."""
    for name in ('configs', 'tools', 'tests'):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    return tmp_path


@pytest.mark.parametrize('path', OF_COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_of(path, place, request, monkeypatch):
    names = dict(GIVEN)
    if any(block.language == 'python' or any(map(is_run, commands_of(block)))
           for block in OF_COMMANDS[path] if block.language in ('bash', 'python')):
        shutil.copytree(request.getfixturevalue('prepared'), place, symlinks=True,
                        dirs_exist_ok=True)
    for block in OF_COMMANDS[path]:
        if block.reason is not None:
            continue
        try:
            if block.language == 'bash':
                for words in commands_of(block):
                    follow(words, monkeypatch)
            elif block.language == 'python':
                run_python(block, names)
        except (Exception, SystemExit) as error:
            if not isinstance(error, SystemExit) or error.code:
                raise AssertionError(f'{block.where}: {block.text}') from error


def test_every_block_says_what_it_is_and_few_are_not_run():
    blocks = [block for found in BLOCKS.values() for block in found]
    assert {block.language for block in blocks} <= {'bash', 'python', 'json', 'text',
                                                    '{eval-rst}', '{toctree}'}
    marked = [block for block in blocks if block.reason is not None]
    assert len(marked) <= MOST_MARKED, [block.where for block in marked]
    counts = {False: 0, True: 0}
    for block in blocks:
        if block.language == 'bash' and block.reason is None:
            for words in commands_of(block):
                counts[is_run(words)] += 1
    print(f'{counts[True]} commands are run, {counts[False]} checked, {len(marked)} blocks marked')
    assert counts[True] > 30


@pytest.mark.parametrize(('text', 'told'), [
    ('python tools/search.py OUT --no-such', 'SystemExit'),
    ('python tools/no_such.py', 'no_such.py'),
    ('python tools/train.py configs/tvtsv2/no-such.py', 'no-such.py'),
    ('bash tools/dist_train.sh configs/tvtsv2/vit-b16_pretrain.py 8 --cfg-options '
     'model.backbone.widht=3', 'widht'),
    ('mim test tvtsv2_mm no-such.py', 'no-such.py'),
    ('pip install "tvtsv2_mm[no-such]"', 'no-such'),
    ('unknown command', 'unknown'),
])
def test_a_command_that_does_not_work_is_found(text, told, place, monkeypatch):
    with pytest.raises((Exception, SystemExit)) as caught:
        for words in commands_of(Block('bash', text, 'here')):
            follow(words, monkeypatch)
    assert told in f'{caught.typename} {caught.value}'


@pytest.mark.parametrize(('text', 'told'), [
    ('    python tools/train.py\n', 'fenced'),
    ('<!-- not run: why -->\n\ntext\n\n```bash\na\n```\n', 'mark'),
])
def test_a_block_in_another_form_is_an_error(tmp_path, text, told):
    (tmp_path / 'a.md').write_text(text)
    with pytest.raises(ValueError, match=told):
        read_blocks(tmp_path / 'a.md')


def test_a_mark_has_a_reason_and_comments_are_no_commands(tmp_path):
    (tmp_path / 'a.md').write_text(
        '<!-- not run: hours -->\n```bash\n# a\nb "c d" \\\n    -e   # f\n```\n\n```text\n```\n')
    first, second = read_blocks(tmp_path / 'a.md')
    assert (first.language, first.reason, second.reason) == ('bash', 'hours', None)
    assert commands_of(first) == [['b', 'c d', '-e']]


def as_tool(words):
    """A command as that of a tool: its path from the checkout, and the words for it.

    None is what no tool does. Launchers are left out: their tool is called in one process.
    """
    match words:
        case ['python', '-m' | '-c', *_]:
            return None
        case ['python', tool, *rest]:
            return Path(tool), rest
        case ['torchrun', '--nproc_per_node', count, tool, *rest] if count.isdigit():
            return Path(tool), [word for word in rest if word not in ('--launcher', 'pytorch')]
        case ['bash', 'tools/dist_train.sh', config, count, *rest] if count.isdigit():
            return Path('tools/train.py'), [config, *rest]
        case ['bash', 'tools/dist_test.sh', config, checkpoint, count, *rest] if count.isdigit():
            return Path('tools/test.py'), [config, checkpoint, *rest]
        case ['bash', 'tools/slurm_train.sh', _, _, config, *rest]:
            return Path('tools/train.py'), [config, *rest]
        case ['bash', 'tools/quickstart.sh', *rest]:
            return Path('tools/quickstart.py'), rest
        case ['bash', 'tools/matrix.sh', *rest]:
            return Path('tools/matrix.py'), rest
        case ['mim', 'run', 'tvtsv2_mm', name, *rest]:
            return Path(f'tools/{name}.py'), rest
        case ['mim', 'train' | 'test' as verb, 'tvtsv2_mm', config, *rest]:
            if config != 'my_config.py':
                found = [*(ROOT / 'configs').rglob(Path(config).name)]
                assert found, f'mim finds no {config}'
                config = str(found[0])
            if '--gpus' in rest:
                rest = rest[:rest.index('--gpus')]
            return Path(f'tools/{verb}.py'), [config, *rest]
    return None


def is_run(words):
    """Whether a command is run here, or checked alone."""
    tool = as_tool(words)
    if tool is None:
        return words[:1] == ['python']
    path, rest = tool
    configs = {Path(word).stem for word in rest if word.endswith('.py')}
    # Neither a peer's folder nor what comes of it or of a probe is there, and where one process has
    # extracted several would find nothing to do.
    if {'--peers', 'fit', '--ray'} & {*rest} or words[0] == 'torchrun' or (
            'FOLDER' in rest and '--videos' not in rest):
        return False
    return path.stem in RUN and configs <= SMALL_RUNS


def stand_in(word, *, tiny):
    """The file of the folder for a word in capitals, or for the name of weights."""
    checkpoint = 'tiny.pth' if tiny else 'TVTSv2_ViT_B_16.pth'
    word = re.sub(r'work_dirs/\S*/epoch_\d+\.pth', checkpoint, word)
    names = {'CHECKPOINT': checkpoint, 'VIDEO': 'a.mp4', 'SEED': '0', 'CONFIG': str(CONFIGS / (
        'tiny_pretrain.py')), 'tvtsv2-b16': checkpoint, 'openai/clip-vit-base-patch16': checkpoint}
    key, equals, value = word.partition('=')
    return key + equals + names.get(value, value) if equals else names.get(word, word)


def follow(words, monkeypatch):
    """Run a command, or check it."""
    tool = as_tool(words)
    if tool is not None:
        path, rest = tool
        assert (ROOT / path).is_file(), f'there is no {path}'
        tiny = any(Path(word).stem.startswith('tiny') for word in rest if word.endswith('.py'))
        rest = [stand_in(word, tiny=tiny) for word in rest]
        if is_run(words):
            run_tool(path, [*spread(rest), *RUN[path.stem], *options_of(rest)], monkeypatch)
        else:
            check_tool(path, rest, monkeypatch)
        return
    match words:
        case ['python', '-m', module]:
            monkeypatch.setattr(sys, 'argv', [module])
            runpy.run_module(module, run_name='__main__')
        case ['python', '-c', program]:
            exec(program, {})
        case ['bash', 'tools/run_tests.sh'] | ['bash', 'tools/run_tests.sh', '--no-venv']:
            subprocess.run(['bash', '-n', str(ROOT / words[1])], check=True)
        case ['mim', 'search', 'tvtsv2_mm']:
            pass
        case ['pip', 'install', *rest]:
            for word in rest:
                for extra in ','.join(re.findall(r'\[(.*)\]', word)).split(','):
                    assert extra in (*EXTRAS, 'all', ''), f'there is no extra {extra}'
        case _:
            raise AssertionError(f'nobody knows how to follow {words}: run it, or mark the block')


def spread(words):
    """Bash's wildcards; what they do not find they leave alone."""
    return [found for word in words
            for found in ('*' in word and sorted(glob.glob(word))) or [word]]


def options_of(words):
    """What makes a training or a test small."""
    configs = [Path(word) for word in words if word.endswith('.py')]
    if not configs:
        return []
    cfg = Config.fromfile(configs[0] if configs[0].is_file() else ROOT / configs[0])
    few = [option for option in sorted(FEW) if option.partition('.')[0] in cfg]
    if cfg.get('load_from') and not any(word.startswith('load_from=') for word in words):
        few.append('load_from=TVTSv2_ViT_B_16.pth')
    if 'train_cfg' in cfg:
        few += ['train_cfg.max_epochs=1', *(
            f'train_dataloader.dataset.datasets.{k}.times=1'
            for k, data in enumerate(cfg.train_dataloader.dataset.get('datasets', []))
            if data.get('type') == 'RepeatDataset')]
    if not configs[0].stem.startswith('tiny'):
        few += [f'{key}={value}' for key, value in small_model(cfg.model).items()]
    return ['--cfg-options', *few]


def small_model(model):
    """Two narrow layers, for the parts that a model has."""
    return {name: value for name, value in SMALLER.items()
            for _, part, key in [name.split('.')] if key in (model.get(part) or ())}


def run_tool(path, words, monkeypatch):
    """Run a tool in this process."""
    monkeypatch.setattr(sys, 'argv', [path.name, *words])
    try:
        runpy.run_path(str(ROOT / path), run_name='__main__')
    except SystemExit as ended:
        assert not ended.code, f'{path} {words}: {ended.code}'


def check_tool(path, words, monkeypatch):
    """Let a tool's own parser read the words, and build what its configs say."""
    def stop_behind(read):
        def read_and_stop(parser, *args):
            raise ParsedEnough(read(parser, *args))
        return read_and_stop

    monkeypatch.setattr(sys, 'argv', [path.name, *words])
    with monkeypatch.context() as context:
        for name in ('parse_args', 'parse_intermixed_args'):
            context.setattr(ArgumentParser, name, stop_behind(getattr(ArgumentParser, name)))
        context.syspath_prepend(str((ROOT / path).parent))
        with pytest.raises(ParsedEnough) as caught:
            runpy.run_path(str(ROOT / path), run_name='__main__')
    args = caught.value.args[0]
    configs = [config for config in (*getattr(args, 'configs', ()), getattr(args, 'config', None))
               if config is not None]
    for config in configs:
        check_config(load_config(str(config)), getattr(args, 'cfg_options', None) or {})


def check_config(cfg, options):
    """Build what needs no data: the model with narrow layers, and all transforms and metrics."""
    from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model
    from tvtsv2_mm.apis.launch.overrides import apply_overrides
    apply_overrides(cfg, options)
    with patch('tvtsv2_mm.apis.launch.fit_to_model.locate', str):  # nothing is fetched
        fit_to_model(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'tvtsv2_mm')):
        if cfg.model.backbone.type != 'HuggingFaceBackbone':  # its sizes are in a folder
            cfg.merge_from_dict(small_model(cfg.model))
            MODELS.build(cfg.model)
        for loader in (f'{split}_dataloader' for split in ('train', 'val', 'test')):
            dataset = (cfg.get(loader) or {}).get('dataset', {})
            for part in dataset.get('datasets', [dataset]):
                for step in part.get('dataset', part).get('pipeline', []):
                    TRANSFORMS.build(step)
        for name in ('val_evaluator', 'test_evaluator'):
            evaluators = cfg.get(name) or []
            for metric in evaluators if isinstance(evaluators, list) else [evaluators]:
                METRICS.build(metric)


def run_python(block, names):
    """Run a program; read a config, and keep it as ``my_config.py``; build a transform."""
    if '_base_ =' in block.text:
        # The package need not be installed for its bases.
        text = block.text.replace('tvtsv2_mm::', f'{ROOT / "configs"}/')
        Path('my_config.py').write_text(text)
        check_config(load_config('my_config.py'), {})
    elif block.text.startswith('dict('):
        TRANSFORMS.build(eval(block.text, {}))
    else:
        ast.parse(block.text)
        exec(compile(block.text, block.where, 'exec'), names)
