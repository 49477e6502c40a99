"""Test weights between those before and after fine-tuning: (1 - a) before + a after (WiSE-FT).

    python tools/interpolate_weights.py configs/tvtsv2/vit-b16_finetune_msrvtt.py \\
        configs/tvtsv2/vit-b16_zero-shot_hmdb51.py --before TVTSv2_ViT_B_16.pth --after best.pth

The first config is of what was trained for, others are of what was not. Writes interpolation.json
and interpolation.png.
"""

import argparse
from pathlib import Path

from tvtsv2_mm.apis.launch.arguments import add_launch_arguments, parse_launch_arguments
from tvtsv2_mm.utils.processes import importing
from tvtsv2_mm.utils.tables import print_table


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument('--before', required=True, help='checkpoint of any known layout')
    parser.add_argument('--after', required=True, help='checkpoint that was trained from it')
    parser.add_argument('--alphas', nargs='+', type=float, default=(0, 0.25, 0.5, 0.75, 1),
                        metavar='A', help='shares of the weights after (default: %(default)s)')
    parser.add_argument('--keep', type=float, metavar='A',
                        help='write the weights of this share to weights_A.pth')
    add_launch_arguments(parser)
    return parser


def main() -> None:
    """Interpolate."""
    parser = build_parser()
    args = parse_launch_arguments(parser)
    with importing():
        from tvtsv2_mm.apis.interpolation import interpolate_weights
        from tvtsv2_mm.apis.launch.runs import (
            apply_launch_arguments,
            check_checkpoint,
            load_config,
            plain_errors,
        )
    folder = Path(args.work_dir or 'work_dirs/interpolation')
    configs = {}
    try:
        args.before, args.after = map(check_checkpoint, (args.before, args.after))
        for config in args.configs:
            name = Path(config).stem
            if name in configs:
                raise ValueError(f'two configs are named {name}')
            cfg = configs[name] = load_config(config)
            if cfg.get('test_evaluator') is None or cfg.get('test_dataloader') is None:
                raise ValueError(f'{config} has no test_dataloader and test_evaluator')
            apply_launch_arguments(cfg, argparse.Namespace(
                **{**vars(args), 'config': config, 'work_dir': str(folder / name)}))
    except (FileNotFoundError, ValueError) as error:
        parser.exit(2, f'error: {error}\n')
    with plain_errors():
        figures = interpolate_weights(
            configs, args.before, args.after, folder, alphas=args.alphas, keep=args.keep)
    for name, found in figures.items():
        print_table([[name, *(f'a = {alpha:g}' for alpha in args.alphas)], *(
            [key, *(f'{metrics[key]:.2f}' for metrics in found)] for key in found[0])])


if __name__ == '__main__':
    main()
