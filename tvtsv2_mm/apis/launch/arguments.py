"""Arguments that tools share: to build a parser takes nothing but the standard library."""

import argparse
import os
from typing import Any

from tvtsv2_mm.choices import CLIP_KINDS, DTYPES, FRAMES, LAUNCHERS
from tvtsv2_mm.utils.processes import LAUNCHER, end_with_parent


class ReadOverrides(argparse.Action):
    """Reads ``KEY=VALUE ...`` into a dict; a value is a literal, ``dict(...)`` too, or a text."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        """Read the values."""
        from tvtsv2_mm.apis.launch.overrides import read_value
        options = dict(getattr(namespace, self.dest) or {})
        for text in values:
            key, equals, value = text.partition('=')
            if not equals or not all(key.split('.')):
                parser.exit(2, f'error: {option_string} takes KEY=VALUE, not {text!r}\n')
            try:
                options[key] = read_value(value)
            except ValueError as error:
                parser.exit(2, f'error: {option_string}: {key}: {error}\n')
        setattr(namespace, self.dest, options)


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every tool around a Runner has, named as in MMAction2."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints; by default what the '
                        'config says, else work_dirs/<name of the config>')
    parser.add_argument('--cfg-options', nargs='+', action=ReadOverrides, metavar='KEY=VALUE',
                        help='overrides of the config, the last word, written as in it: a.b=1 '
                        'c="[1, 2]" d="dict(type=\'A\', e=3)"')
    add_launcher_arguments(parser, '; tools/dist_*.sh and slurm_*.sh set it')


def add_launcher_arguments(parser: argparse.ArgumentParser, more_help: str = '') -> None:
    """Add what a launcher passes on."""
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none',
                        help=f'who started this process{more_help}')
    # torch's launchers pass either spelling, and the launcher's environment wins over both.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def parse_launch_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line and tell mmengine the local rank.

    A rank ends with its launcher from here on.
    """
    args = parser.parse_args()
    if args.launcher != 'none':
        launcher = os.environ.get(LAUNCHER)
        end_with_parent(None if launcher is None else int(launcher))
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which model runs where."""
    parser.add_argument('--checkpoint', '-C', required=True,
                        help='checkpoint of any known layout, or a name by which it is fetched: '
                        'tvtsv2-b16, openai/..., hf://OWNER/MODEL')
    parser.add_argument('--config', help='config file; not needed for a TVTSv2 release or a '
                        'checkpoint that this package wrote')
    parser.add_argument('--device', help='cpu, cuda, cuda:1; by default a GPU where there is one')
    parser.add_argument('--dtype', choices=DTYPES, default='float32')


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which pixels of a video the model sees."""
    parser.add_argument('--clips', choices=CLIP_KINDS, default='protocol',
                        help="'protocol': the frames and pixels that the model is evaluated with "
                        "(the default); 'feature-script': those of the release's script for "
                        'features')
    add_frames_argument(parser)


def add_frames_argument(parser: argparse.ArgumentParser) -> None:
    """Add what is shown of the frames that were chosen."""
    parser.add_argument('--frames', choices=FRAMES,
                        help='what is shown of the chosen frames, to see how much the model knows '
                        "of time: 'natural', all in order (what a config says by default); "
                        "'shuffled'; 'reversed'; 'single', the middle one alone; 'constant', that "
                        'one as often')
