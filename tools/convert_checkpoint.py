"""Convert a checkpoint into this package's layout or into the TVTSv2 release's.

SOURCE may be the TVTSv2 release (.pth, with or without the sorting head), OpenAI's CLIP
(TorchScript archive or state dict), OpenCLIP (.bin, .pt, .safetensors, or its folder), a CLIP of
Hugging Face (folder with config.json, or the file of weights, in one or in shards), or one of our
own: a file, or a folder that sharded training writes. Missing and unused keys, and sizes that
differ, are errors that list them all. Nothing in the file is run. Without TARGET, the sizes are
read from the tensors and printed as a config that fits.
"""

import argparse
from typing import TYPE_CHECKING

from tvtsv2_mm.apis.launch.arguments import ReadOverrides
from tvtsv2_mm.choices import ACTIVATIONS, DTYPES, TARGET_LAYOUTS
from tvtsv2_mm.utils.processes import importing

if TYPE_CHECKING:
    from tvtsv2_mm.checkpoints import Description


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='file or folder to read')
    parser.add_argument('target', nargs='?', help='file to write: .pth or .safetensors')
    parser.add_argument('--to', choices=TARGET_LAYOUTS, default='own',
                        help='layout to write (default: %(default)s)')
    parser.add_argument('--config', help='config whose model the weights must fit (default: what '
                                         'the sizes of the tensors give)')
    parser.add_argument('--interpolate-positions', action='store_true',
                        help='resize the position tables to the resolution and the number of '
                             'frames of --config')
    parser.add_argument('--dtype', choices=DTYPES, help='default: as in SOURCE')
    parser.add_argument('--overwrite', action='store_true', help='replace TARGET if it exists')
    parser.add_argument('--weights', metavar='NAME',
                        help='which weights to take where SOURCE has several: ema (averaged ones), '
                             'or the name of an entry')
    parser.add_argument('--stand-in', nargs='+', action='extend', default=[], metavar='MODULE.NAME',
                        help='classes and functions named in a pickle that are to be replaced by '
                             'inert stand-ins; the refusal of a file says which it needs')
    known = parser.add_argument_group(
        'what tensors do not tell', 'default: as in config.json or open_clip_config.json beside '
        'the weights; else the printed config has heads of width 64 (80 in ViT-H)')
    known.add_argument('--heads', type=int, help='attention heads of the video encoder')
    known.add_argument('--text-heads', type=int, help='attention heads of the text encoder')
    known.add_argument('--sorting-heads', type=int, help='attention heads of the sorting head')
    known.add_argument('--activation', choices=ACTIVATIONS, help='of both encoders')
    known.add_argument('--known', nargs='+', action=ReadOverrides, default={},
                       metavar='PART.NAME=VALUE',
                       help='any other: backbone.norm_eps=1e-6 neck.activation=gelu '
                            'neck.end_token=2 neck.tokenizer=NAME')
    return parser


def read_known(args: argparse.Namespace) -> 'Description':
    """What the command line says of the model."""
    from tvtsv2_mm.checkpoints import given_description
    short = {'backbone.heads': args.heads, 'neck.heads': args.text_heads,
             'sorting_head.heads': args.sorting_heads, 'backbone.activation': args.activation,
             'neck.activation': args.activation}
    return given_description(
        {name: value for name, value in short.items() if value is not None} | args.known)


def print_config(args: argparse.Namespace) -> None:
    """Print the config that fits the tensors, and what in it is an assumption."""
    from mmengine.config import Config

    from tvtsv2_mm.checkpoints.convert_checkpoint import inspect_checkpoint
    from tvtsv2_mm.checkpoints.entries import report_lines
    found = inspect_checkpoint(
        args.source, weights=args.weights, stand_ins=args.stand_in, given=read_known(args))
    count = sum(tensor.numel() for tensor in found.weights.values())
    print(f'# {found.layout}: {len(found.weights)} tensors, {count / 1e6:.1f}M values')
    for line in report_lines(found.report):
        print(f'# {line}')
    for line in found.assumed:
        print(f'# not in the checkpoint: {line}')
    for key in found.unused:
        print(f'# no place in this config: {key}')
    print(Config(dict(model=found.config)).pretty_text, end='')


def main() -> None:
    """Convert, or print the config."""
    parser = build_parser()
    args = parser.parse_args()
    if args.interpolate_positions and args.config is None:
        parser.error('--interpolate-positions needs --config, which says to what sizes')
    with importing():
        from tvtsv2_mm.apis.launch.runs import load_config
        from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint
        from tvtsv2_mm.checkpoints.entries import report_lines
    try:
        if args.target is None:
            print_config(args)
            return
        model = None
        if args.config is not None:
            model = load_config(args.config).get('model')
            if model is None:
                raise ValueError(f'{args.config} has no model')
        report: dict = {}
        names = convert_checkpoint(
            args.source, args.target, model=model, to=args.to, dtype=args.dtype,
            given=read_known(args),
            interpolate_positions=args.interpolate_positions, overwrite=args.overwrite,
            weights=args.weights, stand_ins=args.stand_in, report=report)
    except (ValueError, OSError) as error:
        raise SystemExit(f'error: {error}') from None
    for line in report_lines(report['file']):
        print(line)
    print(f'{args.target}: {len(names)} tensors, {args.to} layout')


if __name__ == '__main__':
    main()
