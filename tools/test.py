"""Test a checkpoint with the metrics of a config, with MMAction2's arguments."""

import argparse
from typing import TYPE_CHECKING

from tvtsv2_mm.apis.launch.arguments import (
    add_frames_argument,
    add_launch_arguments,
    parse_launch_arguments,
)
from tvtsv2_mm.utils.processes import importing

if TYPE_CHECKING:
    from mmengine.config import Config


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file or URL')
    parser.add_argument('--checkpoint', '-C', dest='checkpoint_option', metavar='CHECKPOINT',
                        help='the same, as an option')
    parser.add_argument('--dump', metavar='FILE.pkl',
                        help='write the predictions of all samples to this pickle file')
    add_frames_argument(parser)
    add_launch_arguments(parser)
    return parser


def apply_test_arguments(cfg: 'Config', args: argparse.Namespace) -> None:
    """Put the arguments of testing into the config.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: no checkpoint, two of them, a dump file of the wrong kind, or a config that
            says nothing of testing.
    """
    from tvtsv2_mm.apis.launch.runs import check_checkpoint
    given = [path for path in (args.checkpoint, args.checkpoint_option) if path is not None]
    if len(given) != 1:
        raise ValueError('give one checkpoint: CONFIG CHECKPOINT, or CONFIG --checkpoint '
                         f'CHECKPOINT; there are {len(given)}')
    if cfg.get('test_evaluator') is None or cfg.get('test_dataloader') is None:
        raise ValueError(f'{args.config} has no test_dataloader and test_evaluator: take one of '
                         'the configs for evaluation')
    cfg.load_from = check_checkpoint(given[0])
    cfg.resume = False
    if args.dump is not None:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise ValueError(f'--dump writes a pickle file: end its name in .pkl, not {args.dump}')
        evaluators = cfg.test_evaluator
        cfg.test_evaluator = [
            *(evaluators if isinstance(evaluators, list | tuple) else [evaluators]),
            dict(type='DumpResults', out_file_path=args.dump)
        ]


def main() -> None:
    """Test."""
    parser = build_parser()
    args = parse_launch_arguments(parser)
    with importing():
        from tvtsv2_mm.apis.launch.frames import show_frames
        from tvtsv2_mm.apis.launch.runs import (
            apply_launch_arguments,
            build_runner,
            load_config,
            plain_errors,
        )
    try:
        cfg = load_config(args.config)
        apply_test_arguments(cfg, args)
        apply_launch_arguments(cfg, args)
        show_frames(cfg, args.frames)  # then the steps that --cfg-options names are in their places
    except (FileNotFoundError, ValueError) as error:
        parser.exit(2, f'error: {error}\n')
    with plain_errors():
        build_runner(cfg).test()


if __name__ == '__main__':
    main()
