"""Measure the video encoder beside a plain form of its maths, frame-wise CLIP, and its products.

    python tools/benchmarks/model.py --sizes b16 --masks 0.5 --precisions fp32 bf16 --out model.json
    python tools/benchmarks/model.py --table

Shows seconds of the forward pass and of a training step (forward and backward pass of all
parameters), their ratios, FLOP/s beside the machine's matmul rate, the bytes that a clip keeps for
the backward pass, and peak memory. The contestants take turns, so that a shared machine is equally
unfair to all; with --threads 1 their CPU seconds hardly feel the others on it. 'einsum' must first
be equal to ours, or the tool ends with an error. Weights are random. docs/performance.md says what
each figure means. Linux only (it reads /proc).
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from common import machine, show_progress
from mmengine.registry import DefaultScope
from model_contestants import (
    DTYPES,
    Bound,
    Encoder,
    WholeModel,
    build_clip,
    build_einsum,
    build_ours,
    build_whole,
    multiply_like_ours,
)
from model_cost import (
    SIZES,
    Cost,
    cost_tables,
    encoder_cost,
    grid_patches,
    kept_count,
    linear_layers,
    model_config,
)
from model_measures import (
    KEPT_CLIPS,
    Batch,
    OutOfMemory,
    attempt,
    check_equal,
    largest_differences,
    live_bytes,
    measure_seconds,
    outputs_and_gradients,
    peak_bytes,
    per_clip,
    profile_step,
    saved_bytes,
)
from torch import nn

OURS, EINSUM, EINSUM_FP32, CLIP = 'ours', 'einsum', 'einsum_fp32', 'clip'
# The products of the linear layers, by torch's mm and by what ours multiplies with.
BOUND, PRODUCTS = BOUNDS = 'bound', 'products'
CONTESTANTS = [OURS, EINSUM, EINSUM_FP32, CLIP, *BOUNDS]
PACKAGES = ('torch', 'transformers', 'mmengine', 'mmaction2', 'numpy')
# Of the largest entry, in fp32: sums over tokens are taken in another order.
TOLERANCE = 1e-5
SQUARE = dict(cpu=2048, cuda=8192)


@dataclass(frozen=True)
class Setting:
    """What is measured at one size and mask."""

    size: str
    mask: float
    clips: int
    frames: int
    kept: int
    config: dict
    device: torch.device

    @property
    def tokens(self) -> int:
        """Of a clip."""
        return 1 + self.frames * self.kept

    @property
    def cost(self) -> Cost:
        """Of a clip."""
        return encoder_cost(self.config['backbone'], self.frames, self.kept)


def make_setting(args: argparse.Namespace, size: str, mask: float) -> Setting:
    """A size's config with the options of the command line."""
    changes = {} if args.layers is None else dict(layers=args.layers)
    if args.checkpointing:
        changes['checkpointing'] = True
    config = model_config(size, **changes)
    backbone = config['backbone']
    frames = args.frames or backbone['num_frames']
    if frames > backbone['num_frames']:
        raise ValueError(f'--frames {frames} does not fit {size}: it has positions for '
                         f'{backbone["num_frames"]}')
    kept = kept_count(backbone, mask)
    if not 0 < kept <= grid_patches(backbone):
        raise ValueError(f'--masks {mask} keeps {kept} of {grid_patches(backbone)} patches: give '
                         'the share of the patches that are dropped')
    return Setting(size, mask, args.batch, frames, kept, config, torch.device(args.device))


def make_batch(setting: Setting, clips: int) -> Batch:
    """Random clips, each with a tube mask of its own."""
    side, patches = setting.config['backbone']['image_size'], grid_patches(
        setting.config['backbone'])
    video = torch.randn(clips, setting.frames, 3, side, side, device=setting.device)
    if setting.kept == patches:
        return Batch(video, None)
    kept = torch.rand(clips, patches, device=setting.device).argsort(dim=1)[:, :setting.kept]
    return Batch(video, kept.sort(dim=1).values)


def check_equality(ours: nn.Module, einsum: nn.Module, batch: Batch,
                   precisions: Sequence[str]) -> dict[str, dict]:
    """Compare both encoders with the einsum form in fp32, on two clips.

    At lower precision there is no right answer: ours may round elsewhere, so both forms' distances
    from fp32 are given.

    Raises:
        ValueError: they are not equal in fp32.
    """
    batch = batch.first(2)

    def compute(module: nn.Module, precision: str) -> dict[str, torch.Tensor]:
        with torch.backends.cudnn.flags(allow_tf32=False):
            return outputs_and_gradients(Encoder(module, precision).forward, module, batch)

    expected = compute(einsum, 'fp32')
    result = dict(ours_fp32=largest_differences(compute(ours, 'fp32'), expected))
    show_differences('ours, fp32', result['ours_fp32'])
    check_equal(result['ours_fp32'], TOLERANCE)
    for precision in precisions:
        if precision != 'fp32':
            for name, module in ((OURS, ours), (EINSUM, einsum)):
                key = f'{name}_{precision}'
                result[key] = largest_differences(compute(module, precision), expected)
                show_differences(f'{name}, {precision}', result[key])
    return result


def measure_memory(encoder: Encoder, batch: Batch, setting: Setting) -> dict[str, object]:
    """Bytes that the encoder keeps and needs; peaks are None where the device is too small."""
    saved, saved_fixed = per_clip(
        lambda part: saved_bytes(encoder.forward, part, encoder.module.parameters()), batch)
    live, live_fixed = per_clip(partial(live_bytes, encoder.forward), batch)
    backbone = setting.config['backbone']
    activation = setting.tokens * backbone['width'] * DTYPES[encoder.precision].itemsize
    figures = dict(
        saved_bytes_per_clip=saved, saved_bytes_fixed=saved_fixed, live_bytes_per_clip=live,
        live_bytes_fixed=live_fixed,
        saved_activations_per_layer=saved / activation / backbone['layers'],
        live_activations_per_layer=live / activation / backbone['layers'])
    for kind, step in encoder.steps(batch.first(setting.clips)).items():
        try:
            figures[f'{kind}_peak_bytes'] = peak_bytes(step, setting.device)
        except OutOfMemory:
            figures[f'{kind}_peak_bytes'] = None
    return figures


def time_contestants(contestants: Mapping[str, Encoder | Bound | WholeModel], batch: Batch,
                     setting: Setting, rounds: int) -> dict[str, dict[str, dict]]:
    """Seconds of all steps by contestant and kind, and their ratios to the others'."""
    steps = {(name, kind): step for name, contestant in contestants.items()
             for kind, step in contestant.steps(batch).items()}
    seconds = measure_seconds(steps, rounds, setting.device, show_progress)
    result: dict[str, dict[str, dict]] = {name: {} for name in contestants}
    for name, kind in steps:
        if (name, kind) not in seconds:
            result[name][kind] = dict(out_of_memory=True)
            continue
        own = seconds[name, kind]
        result[name][kind] = dict(
            seconds=own.wall, cpu_seconds=own.cpu, minimum=min(own.wall),
            median=statistics.median(own.wall), cpu_minimum=min(own.cpu),
            ratios={other: dict(
                minimum=min(own.wall) / min(theirs.wall),
                median=statistics.median(own.wall) / statistics.median(theirs.wall),
                cpu_minimum=min(own.cpu) / min(theirs.cpu))
                for other in contestants if other != name
                and (theirs := seconds.get((other, kind)))})
        if name not in BOUNDS:
            result[name][kind]['clips_per_second'] = setting.clips / statistics.median(own.wall)
    return result


def add_rates(timed: dict[str, dict[str, dict]], flop: Mapping[tuple[str, str], int]) -> None:
    """FLOP/s of the fastest round, and their shares of the rates of the products alone.

    Those rates are the higher of the two ways to multiply.
    """
    for (name, kind), work in flop.items():
        figures = timed.get(name, {}).get(kind, {})
        if 'minimum' in figures:
            figures['flop_per_second'] = work / figures['minimum']
    for name, kinds in timed.items():
        if name in (*BOUNDS, EINSUM_FP32):  # the latter has another precision
            continue
        for kind, figures in kinds.items():
            for product, rate in ((kind, 'share_of_bound_rate'),
                                  ('square', 'share_of_square_rate')):
                best = max(timed.get(bound, {}).get(product, {}).get('flop_per_second', 0)
                           for bound in BOUNDS)
                if best and 'flop_per_second' in figures:
                    figures[rate] = figures['flop_per_second'] / best


def work_of(setting: Setting) -> dict[tuple[str, str], int]:
    """FLOP of the steps: of the model's maths, whatever a contestant computes beside it."""
    cost = setting.cost
    work = {}
    for name in BOUNDS:
        work[name, 'forward'] = setting.clips * cost.linear_forward
        work[name, 'training'] = setting.clips * cost.linear_training
        work[name, 'square'] = 2 * SQUARE[setting.device.type]**3
    for name in (OURS, EINSUM, EINSUM_FP32):
        work[name, 'forward'] = setting.clips * cost.forward
        work[name, 'training'] = setting.clips * cost.training
    return work


def measure_precision(args: argparse.Namespace, setting: Setting, precision: str,
                      ours: nn.Module, einsum: nn.Module | None, batch: Batch) -> dict:
    """Everything at one size, mask and precision."""
    title = (f'{setting.size}, mask {setting.mask:g}, {precision}: {setting.clips} clips of '
             f'{setting.frames} frames, {setting.tokens} tokens, '
             f'{setting.config["backbone"]["layers"]} layers')
    show_progress(title)
    build_bound = partial(
        Bound, linear_layers(setting.config['backbone'], setting.frames, setting.kept,
                             setting.clips),
        precision, setting.device, SQUARE[setting.device.type])
    builders: dict[str, Callable[[], Encoder | Bound]] = {
        OURS: lambda: Encoder(ours, precision),
        EINSUM: lambda: Encoder(einsum, precision),
        EINSUM_FP32: lambda: Encoder(einsum, 'fp32'),
        CLIP: lambda: build_clip(setting.config['backbone'], precision, setting.device),
        BOUND: partial(build_bound, torch.mm),
        PRODUCTS: partial(build_bound, multiply_like_ours),
    }
    result: dict = dict(
        size=setting.size, mask=setting.mask, precision=precision, clips=setting.clips,
        frames=setting.frames, tokens=setting.tokens, layers=setting.config['backbone']['layers'],
        flop_per_clip=asdict(setting.cost), out_of_memory=[])
    contestants = {}
    for name in CONTESTANTS:
        if name in args.contestants and (name, precision) != (EINSUM_FP32, 'fp32'):
            try:
                contestants[name] = attempt(builders[name], setting.device)
            except OutOfMemory:
                result['out_of_memory'].append(name)
    part = batch.first(setting.clips)
    result['contestants'] = time_contestants(contestants, part, setting, args.rounds)
    add_rates(result['contestants'], work_of(setting))
    for name, contestant in contestants.items():
        if isinstance(contestant, Encoder):
            show_progress(f'memory: {name}')
            try:
                result['contestants'][name]['memory'] = measure_memory(contestant, batch, setting)
            except OutOfMemory:
                result['contestants'][name]['memory'] = dict(out_of_memory=True)
    if OURS in contestants:
        try:
            result['profile'] = {
                kind: profile_step(step, setting.device)
                for kind, step in contestants[OURS].steps(part).items()}
        except OutOfMemory:
            result['profile'] = {}
    if args.whole_model:
        contestants.clear()
        result['whole_model'] = measure_whole(args, setting, precision, ours, einsum, part)
    show_result(title, result)
    return result


def measure_whole(args: argparse.Namespace, setting: Setting, precision: str, ours: nn.Module,
                  einsum: nn.Module | None, batch: Batch) -> dict[str, dict]:
    """Training steps of the whole model, with our video encoder and with the plain one."""
    show_progress('whole model')
    contestants = {}
    for encoder, names in ((ours, {OURS: precision}),
                           (einsum, {EINSUM: precision, EINSUM_FP32: 'fp32'})):
        names = {name: own for name, own in names.items() if name in args.contestants
                 and (name, precision) != (EINSUM_FP32, 'fp32')}
        if names:
            model, tokens, optimizer = build_whole(
                setting.config, encoder, setting.clips, setting.device)
            for name, own in names.items():
                contestants[name] = WholeModel(model, own, tokens, optimizer)
    result = time_contestants(contestants, batch, setting, args.rounds)
    for name, contestant in contestants.items():
        try:
            result[name]['training']['peak_bytes'] = peak_bytes(
                contestant.steps(batch)['training'], setting.device)
        except OutOfMemory:
            result[name]['training']['peak_bytes'] = None
    return result


def show_differences(title: str, differences: Mapping[str, float]) -> None:
    """Print how far a form is from the plain one in fp32."""
    name, worst = next(iter(differences.items()))
    print(f'largest difference from the plain form in fp32, {title}: {worst:.1e} ({name}); '
          + ', '.join(f'{key} {differences[key]:.1e}'
                      for key in ('embeddings', 'tokens', 'loss')))


def show_result(title: str, result: dict) -> None:
    """Print one table of seconds and one of bytes."""
    cost = result['flop_per_clip']
    forward = cost['linear_forward'] + cost['attention_forward']
    print(f'\n{title}\n{forward / 1e9:.1f} GFLOP a clip forward, '
          f'{cost["linear_forward"] / forward:.1%} in linear layers')
    show_seconds(result['contestants'])
    for name in result['out_of_memory']:
        print(f'{name}: its weights do not fit the device')
    print(f'{"memory, MB":16} {"saved a clip":>14} {"live a clip":>14} {"whatever clips":>14} '
          f'{"forward peak":>14} {"training peak":>14}')
    for name, kinds in result['contestants'].items():
        memory = kinds.get('memory', {})
        if 'saved_bytes_per_clip' in memory:
            keys = ('saved_bytes_per_clip', 'live_bytes_per_clip', 'live_bytes_fixed',
                    'forward_peak_bytes', 'training_peak_bytes')
            cells = ('too much' if memory[key] is None else f'{memory[key] / 1e6:.1f}'
                     for key in keys)
            print(f'{name:16}', *(f'{cell:>14}' for cell in cells))
    for kind, seconds in result.get('profile', {}).items():
        total = sum(seconds.values())
        print(f'where {kind} of ours goes:', ', '.join(
            f'{name} {own * 1e3:.0f} ms ({own / total:.0%})' for name, own in seconds.items()))
    if 'whole_model' in result:
        print('whole model:')
        show_seconds(result['whole_model'])


def show_seconds(timed: Mapping[str, Mapping[str, dict]]) -> None:
    """Print minimum and median of each step, and ratios of both and of the CPU seconds."""
    for kind in ('forward', 'training', 'square'):
        for name, kinds in timed.items():
            figures = kinds.get(kind)
            if figures is None:
                continue
            if 'minimum' not in figures:
                print(f'{kind:9} {name:12} does not fit the memory')
                continue
            line = (f'{kind:9} {name:12} {figures["minimum"]:8.3f} s ({figures["median"]:.3f})')
            if 'clips_per_second' in figures:
                line += f' {figures["clips_per_second"]:8.2f} clips/s'
            if 'flop_per_second' in figures:
                line += f' {figures["flop_per_second"] / 1e9:9.1f} GFLOP/s'
            if 'share_of_bound_rate' in figures:
                line += f' {figures["share_of_bound_rate"]:.0%} of the products\' best rate'
            for bound in BOUNDS:
                if name not in BOUNDS and bound in figures['ratios']:
                    line += f'; {_ratio_text(figures["ratios"][bound])} x {bound}'
            if name == OURS:
                for other, ratio in figures['ratios'].items():
                    if other not in BOUNDS:
                        inverse = {key: 1 / share for key, share in ratio.items()}
                        line += f'; {_ratio_text(inverse)} x as fast as {other}'
            print(line)


def _ratio_text(ratio: Mapping[str, float]) -> str:
    return (f'{ratio["minimum"]:.2f} ({ratio["median"]:.2f}; '
            f'CPU {ratio["cpu_minimum"]:.2f})')


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--table', action='store_true',
                        help='only print parameters and FLOP of all sizes, as markdown')
    parser.add_argument('--sizes', nargs='+', default=['b16'], choices=SIZES,
                        help='(default: %(default)s)')
    parser.add_argument('--masks', nargs='+', type=float, default=[0.5],
                        help='shares of the patches that are dropped (%(default)s)')
    parser.add_argument('--precisions', nargs='+', default=['fp32', 'bf16'], choices=DTYPES,
                        help='autocast with fp32 weights (%(default)s)')
    parser.add_argument('--contestants', nargs='+', default=CONTESTANTS, choices=CONTESTANTS,
                        help='(%(default)s)')
    parser.add_argument('--batch', type=int, default=2, help='clips (%(default)s)')
    parser.add_argument('--frames', type=int, help="of a clip (the size's)")
    parser.add_argument('--layers', type=int, help="of the video encoder (the size's)")
    parser.add_argument('--rounds', type=int, default=3, help='turns of each (%(default)s)')
    parser.add_argument('--threads', type=int, help="of torch on the CPU (torch's own choice)")
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'],
                        help='(%(default)s)')
    parser.add_argument('--compile', action='store_true', help='torch.compile each block of ours')
    parser.add_argument('--checkpointing', action='store_true',
                        help='ours with the recomputing option of the backbone')
    parser.add_argument('--whole-model', action='store_true',
                        help='also training steps with texts, heads and optimiser')
    parser.add_argument('--out', help='JSON file of all figures')
    return parser


def describe(args: argparse.Namespace) -> dict[str, object]:
    """The machine, and what of torch's settings matters."""
    described = dict(
        machine(PACKAGES), threads=torch.get_num_threads(),
        float32_matmul_precision=torch.get_float32_matmul_precision())
    if args.device == 'cuda':
        described.update(gpu=torch.cuda.get_device_name(), cuda=torch.version.cuda,
                         cudnn_tf32=torch.backends.cudnn.allow_tf32)
    return described


def measure(args: argparse.Namespace) -> dict:
    """Measure everything and print it.

    Raises:
        ValueError: an option does not fit a size, or the plain form is not equal to ours.
    """
    settings = [make_setting(args, size, mask) for size in args.sizes for mask in args.masks]
    if args.threads:
        torch.set_num_threads(args.threads)
    result = dict(machine=describe(args), settings=vars(args), equality=[], runs=[])
    for setting in settings:
        torch.manual_seed(0)
        # Shapes and precisions of one setting are compiled apart; past this limit, none would be.
        torch._dynamo.reset()
        torch._dynamo.config.recompile_limit = 64
        ours = build_ours(setting.config['backbone'], setting.device, args.compile)
        batch = make_batch(setting, max(setting.clips, KEPT_CLIPS + 1))
        einsum = None
        if {EINSUM, EINSUM_FP32} & set(args.contestants):
            einsum = build_einsum(setting.config['backbone'], ours, setting.device)
            result['equality'].append(dict(
                size=setting.size, mask=setting.mask, tolerance=TOLERANCE,
                differences=check_equality(ours, einsum, batch, args.precisions)))
        for precision in args.precisions:
            result['runs'].append(
                measure_precision(args, setting, precision, ours, einsum, batch))
    return result


def main() -> None:
    """Measure, print, and write the JSON file."""
    args = build_parser().parse_args()
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        if args.table:
            print(cost_tables())
            return
        try:
            result = measure(args)
        except ValueError as error:
            sys.exit(f'error: {error}')
    if args.out:
        Path(args.out).write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
