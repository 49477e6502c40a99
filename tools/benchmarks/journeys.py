"""What tools/benchmarks/journey.py measures, and how."""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import torch
from decoding import generate_clip
from mmengine.config import Config
from mmengine.registry import DefaultScope
from results import show_progress
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from tokenizers import Tokenizer, models
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
)

from tvtsv2_mm.apis.features import load_features
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.video.files import walk_videos

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / 'plain_scripts'
REAL = ROOT / 'tests/data/videos'
DTYPES = dict(fp32='float32', bf16='bfloat16')
# Width, height and seconds of the made videos: of the web, and of a telephone.
MADE = ((640, 360, 10), (640, 360, 20), (1280, 720, 10), (1920, 1080, 10))


class Spent(NamedTuple):
    """What a run took: by the clock, and of all cores."""

    seconds: float
    cpu_seconds: float


class Side(NamedTuple):
    """One way from a folder to features."""

    command: Callable[[Path, Path, str], list[str]]  # of videos, output and dtype
    read: Callable[[Path], np.ndarray]  # the features (N, E) of an output


def collect_videos(folder: Path, args: argparse.Namespace) -> int:
    """Put the videos that are measured into a folder; returns how many there are.

    By default the real clips that come with the tests, and as many made ones that are longer.
    """
    folder.mkdir()
    if args.videos:
        found = [args.videos / name for name in sorted(walk_videos(str(args.videos)))]
        if not found:
            raise FileNotFoundError(f'there is no video below {args.videos}')
    else:
        found = sorted(REAL.iterdir())
        for width, height, seconds in MADE[:1] if args.smoke else MADE:
            found.append(folder.parent / f'made_{width}x{height}_{seconds}s.mp4')
            generate_clip(found[-1], width=width, height=height, seconds=seconds)
    for copy in range(args.copies):
        for number, path in enumerate(found):
            # Names sort as they are listed, for all sides.
            shutil.copy(path, folder / f'{copy:02d}_{number:03d}{path.suffix}')
    return args.copies * len(found)


def make_ours(folder: Path, config: Config) -> Side:
    """This package's tool, with a checkpoint of the whole model."""
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = MODELS.build(config.model)
    with torch.no_grad():
        for name, parameter in model.backbone.named_parameters():
            if '.timeattn.' in name and parameter.ndim == 2:  # at the start some of it is zero
                parameter.normal_(std=parameter.shape[1]**-0.5)
    weights = folder / 'ours.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), weights)
    return Side(
        lambda videos, out, dtype: [
            str(ROOT / 'tools/extract_features.py'), str(videos), str(out), '-C', str(weights),
            '--device', 'cpu', '--dtype', dtype],
        lambda out: load_features(str(out)).features)


def make_open_clip(folder: Path, size: str, backbone: dict) -> Side:
    """open_clip's CLIP: a folder as it writes them to the hub."""
    known: Any = open_clip.get_model_config(f'ViT-B-{backbone["patch_size"]}')
    if size not in ('b32', 'b16'):
        known['embed_dim'] = backbone['embed_dim']
        known['vision_cfg'] = dict(known['vision_cfg'], head_width=32, **{
            key: backbone[key] for key in ('image_size', 'layers', 'width')})
        known['text_cfg'].update({key: backbone[key] for key in ('layers', 'width', 'heads')})
    place = folder / 'open_clip'
    place.mkdir()
    (place / 'open_clip_config.json').write_text(json.dumps(
        dict(model_cfg=known, preprocess_cfg={})))
    model = open_clip.CLIP(**known)
    torch.save(model.state_dict(), place / 'open_clip_pytorch_model.bin')
    return Side(
        lambda videos, out, dtype: [
            str(SCRIPTS / 'with_open_clip.py'), str(videos), str(out), f'local-dir:{place}',
            str(backbone['num_frames']), dtype],
        read_plain)


def make_sentence_transformers(folder: Path, backbone: dict) -> Side:
    """sentence-transformers' image model: CLIP of transformers."""
    tower = dict(
        hidden_size=backbone['width'], intermediate_size=4 * backbone['width'],
        num_hidden_layers=backbone['layers'], num_attention_heads=backbone['heads'])
    text = dict(hidden_size=512, intermediate_size=2048, num_attention_heads=8)
    size = backbone['image_size']
    model = CLIPModel(CLIPConfig(
        text_config=text, projection_dim=backbone['embed_dim'],
        vision_config=dict(tower, image_size=size, patch_size=backbone['patch_size'])))
    words = PreTrainedTokenizerFast(  # nothing reads a text
        tokenizer_object=Tokenizer(models.WordLevel({'a': 0}, unk_token='a')), pad_token='a')
    processor = CLIPProcessor(
        CLIPImageProcessor(size=dict(shortest_edge=size), crop_size=dict(height=size, width=size)),
        words)
    for part in (model, processor):
        part.save_pretrained(folder / 'transformers')
    SentenceTransformer(modules=[Transformer(str(folder / 'transformers'))]).save(
        str(folder / 'sentence_transformers'))
    return Side(
        lambda videos, out, dtype: [
            str(SCRIPTS / 'with_sentence_transformers.py'), str(videos), str(out),
            str(folder / 'sentence_transformers'), str(backbone['num_frames']), dtype],
        read_plain)


def read_plain(out: Path) -> np.ndarray:
    """The features of a plain script."""
    return np.load(out / 'features.npy')


def run(side: Side, videos: Path, count: int, dtype: str, out: Path) -> Spent:
    """Run a side once, and see that it has a vector of length 1 for each video.

    Raises:
        ValueError: it fails, or has not.
    """
    shutil.rmtree(out, ignore_errors=True)
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    # Threads as each side takes them by itself.
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        environment.pop(name, None)
    command = [sys.executable, *side.command(videos, out, dtype)]
    start, before = time.perf_counter(), cpu_seconds_of_children()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    spent = Spent(time.perf_counter() - start, cpu_seconds_of_children() - before)
    if done.returncode:
        raise ValueError(f'{" ".join(command)} failed: {done.stderr[-2000:]}')
    features = side.read(out)
    lengths = np.linalg.norm(features, axis=1)
    if len(features) != count or not np.allclose(lengths, 1, atol=1e-3):
        raise ValueError(f'{" ".join(command)} has {len(features)} features of {count} videos, '
                         f'with the lengths {lengths}')
    return spent


def cpu_seconds_of_children() -> float:
    """Of those that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(args: argparse.Namespace, folder: Path) -> list[dict]:
    """The rows of all tables."""
    count = collect_videos(folder / 'videos', args)
    first = folder / 'first'
    first.mkdir()
    shutil.copy(sorted((folder / 'videos').iterdir())[0], first)
    rows = []
    for size in args.sizes:
        config = Config.fromfile(next((ROOT / 'configs/_base_/models').glob(f'tvtsv2_*{size}.py')))
        rows += measure_size(args, size, config, folder, count)
    return rows


def measure_size(args: argparse.Namespace, size: str, config: Config, folder: Path,
                 count: int) -> list[dict]:
    """The rows of a size: the sides take turns, each with all videos and with the first alone."""
    models_folder = folder / size
    models_folder.mkdir()
    backbone = config.model.backbone.to_dict()
    make: dict[str, Callable[[], Side]] = dict(
        ours=lambda: make_ours(models_folder, config),
        open_clip=lambda: make_open_clip(models_folder, size, backbone),
        sentence_transformers=lambda: make_sentence_transformers(models_folder, backbone))
    flop = count_flop(backbone)
    sides = {name: make[name]() for name in args.sides}
    spent: dict[tuple[str, str], list[tuple[Spent, Spent]]] = {
        (side, precision): [] for side in sides for precision in args.precisions}
    for turn in range(args.rounds):
        for (name, precision), own in spent.items():
            first, whole = (
                run(sides[name], folder / videos, of, DTYPES[precision], folder / 'out')
                for videos, of in (('first', 1), ('videos', count)))
            own.append((first, whole))
            show_progress(f'{size}, round {turn + 1} of {args.rounds}: {name}, {precision}: '
                          f'{whole.seconds:.1f} s, of these {first.seconds:.1f} for one video')
    rows = []
    for (name, precision), own in spent.items():
        row = dict(table='journey', size=size, side=name, precision=precision, num_files=count,
                   model_gflop=flop['ours' if name == 'ours' else 'clip'] / 1e9,
                   **figures(own, count))
        for kind in dict.fromkeys(('fp32', precision)):
            if (other := spent.get(('open_clip', kind))) and (name, precision) != (
                    'open_clip', kind):
                row |= {f'{field}_speedup_open_clip_{kind}': value
                        for field, value in speedups(own, other, count).items()}
        rows.append(row)
    return rows


def figures(spent: Sequence[tuple[Spent, Spent]], count: int) -> dict[str, float]:
    """Medians of the rounds."""
    median = statistics.median
    return dict(
        whole_a_minute=60 * count / median(whole.seconds for _, whole in spent),
        start_seconds=median(first.seconds for first, _ in spent),
        going_on_a_minute=60 / median(each(first.seconds, whole.seconds, count)
                                      for first, whole in spent),
        start_cpu_seconds=median(first.cpu_seconds for first, _ in spent),
        video_cpu_seconds=median(each(first.cpu_seconds, whole.cpu_seconds, count)
                                 for first, whole in spent))


def each(first: float, whole: float, count: int) -> float:
    """What each video but the first adds."""
    return (whole - first) / max(count - 1, 1)


def speedups(spent: Sequence[tuple[Spent, Spent]], other: Sequence[tuple[Spent, Spent]],
             count: int) -> dict[str, float]:
    """How many times as fast as another: medians of the rounds."""
    pairs = list(zip(spent, other, strict=True))
    return dict(
        whole=statistics.median(theirs[1].seconds / own[1].seconds for own, theirs in pairs),
        going_on=statistics.median(
            each(theirs[0].seconds, theirs[1].seconds, count)
            / each(own[0].seconds, own[1].seconds, count) for own, theirs in pairs),
        cpu=statistics.median(
            theirs[1].cpu_seconds / own[1].cpu_seconds for own, theirs in pairs))


def count_flop(backbone: dict) -> dict[str, int]:
    """Of the models for a video: ours, and CLIP on each of the frames."""
    side, frames = backbone['image_size'], backbone['num_frames']
    counts = {}
    with torch.device('meta'), DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        for name, changes in dict(ours={}, clip=dict(type='FramewiseViT')).items():
            model = MODELS.build({**backbone, **changes}).eval()
            with torch.inference_mode(), FlopCounterMode(display=False) as counted:
                # The others' code has no way to leave the tokens out.
                model(torch.empty(1, frames, 3, side, side), None, name == 'ours')
            counts[name] = counted.get_total_flops()
    return counts
