"""Train a model from a config, with MMAction2's arguments."""

import argparse
from typing import TYPE_CHECKING

from tvtsv2_mm.apis.launch.arguments import add_launch_arguments, parse_launch_arguments
from tvtsv2_mm.utils.processes import importing

if TYPE_CHECKING:
    from mmengine.config import Config


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from this checkpoint; without a value, from the latest one '
                        'in the work folder that is whole, if there is one: else start, from '
                        'load_from')
    parser.add_argument('--new-schedule', action='store_true',
                        help='go on by the schedule and learning rates of this config, as if from '
                        'the start, instead of those of the checkpoint')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: bfloat16, or float16 on a GPU that lacks it')
    parser.add_argument('--no-validate', action='store_true',
                        help='do not evaluate during training')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rates to the batch size of this run')
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    parser.add_argument('--diff-rank-seed', action='store_true',
                        help='give every process its own seed')
    parser.add_argument('--deterministic', action='store_true',
                        help='deterministic algorithms (slower)')
    add_launch_arguments(parser)
    return parser


def apply_train_arguments(cfg: 'Config', args: argparse.Namespace) -> None:
    """Put the arguments of training into the config.

    Raises:
        ValueError: the config does not have what an argument needs.
    """
    from mmengine.config import ConfigDict

    from tvtsv2_mm.apis.launch.runs import use_mixed_precision
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.new_schedule:
        cfg.new_schedule = True
    if args.amp:
        use_mixed_precision(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the '
                             f'config, and {args.config} has none')
        cfg.auto_scale_lr.enable = True
    randomness = dict(seed=args.seed, diff_rank_seed=args.diff_rank_seed or None,
                      deterministic=args.deterministic or None)
    given = {key: value for key, value in randomness.items() if value is not None}
    if given:
        cfg.randomness = ConfigDict(cfg.get('randomness') or {}, **given)


def main() -> None:
    """Train."""
    parser = build_parser()
    args = parse_launch_arguments(parser)
    with importing():
        from tvtsv2_mm.apis.launch.latest import is_begun
        from tvtsv2_mm.apis.launch.runs import (
            apply_launch_arguments,
            apply_resume,
            build_runner,
            check_checkpoint,
            load_config,
            plain_errors,
        )
    try:
        cfg = load_config(args.config)
        apply_train_arguments(cfg, args)
        apply_launch_arguments(cfg, args)
        apply_resume(cfg, args.resume)
        if cfg.get('load_from') is not None and not (cfg.resume == 'auto' and is_begun(cfg)):
            cfg.load_from = check_checkpoint(
                cfg.load_from, 'checkpoint (load_from; None starts from random weights)')
    except (FileNotFoundError, ValueError) as error:
        parser.exit(2, f'error: {error}\n')
    with plain_errors():
        build_runner(cfg).train()


if __name__ == '__main__':
    main()
