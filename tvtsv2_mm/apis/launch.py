"""What ``tools/train.py`` and ``tools/test.py`` share: arguments, config, runner."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.runner import Runner, find_latest_checkpoint

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.sharded import is_sharded
from tvtsv2_mm.datasets.annotations import AnnotationError
from tvtsv2_mm.registry import RUNNERS

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every tool around a Runner has, named as in MMAction2."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints; by default what the '
                        'config says, else work_dirs/<name of the config>')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='overrides of the config, the last word: a.b=1 c="[1,2]" d="(3,4)"; '
                        'no blanks inside a value')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none',
                        help='who started this process; tools/dist_*.sh and slurm_*.sh set it')
    # torch's launchers pass either spelling, and the launcher's environment wins over both.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def parse_launch_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line and tell mmengine the local rank."""
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(path: str) -> Config:
    """Read a config file.

    Raises:
        FileNotFoundError: the file, or one that it is based on, does not exist.
        ValueError: the file is no config file.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f'there is no config {path}{_similar_configs(file)}; paths are relative to the folder '
            f'that you are in ({Path.cwd()})')
    # JSON and YAML look like data, but what they name would be imported and called all the same.
    if file.suffix != '.py':
        raise ValueError(f'a config is a Python file and ends in .py, but this is {path}')
    return Config.fromfile(path)


def check_file(path: str, what: str) -> str:
    """Return the path of a file or folder that is given by the user and must be there.

    URLs and other places with a scheme are left to mmengine.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    if '://' not in path and not Path(path).expanduser().exists():
        raise FileNotFoundError(f'there is no {what} {path}')
    return path


def check_resume(cfg: Config) -> None:
    """Look whether the run can go on from the checkpoint that it resumes; call it last.

    Raises:
        ValueError: the checkpoint is a folder, from which only a sharded run goes on; or the work
            folder names an address.
    """
    if not cfg.get('resume'):
        return
    path = cfg.get('load_from') or find_latest_checkpoint(cfg.work_dir)
    if path is not None and not cfg.get('load_from') and '://' in path:
        raise ValueError(f'{cfg.work_dir}/last_checkpoint names {path}: to go on from there, give '
                         'the address to --resume')
    if path is not None and is_sharded(path) and _strategy(cfg) != 'FullyShardStrategy':
        raise ValueError(
            f'{path} is a sharded checkpoint, from which only a run with FullyShardStrategy goes '
            'on (docs/scale.md); give it as load_from to start a new run with its weights')


def apply_launch_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Put the shared arguments into the config, and make it fit the machine.

    Call it last: ``--cfg-options`` has the last word.
    """
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    _compile_blocks(cfg)
    if cfg.launcher == 'pytorch' and get_device() == 'cpu':
        _distribute_on_cpu(cfg)


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config asks for."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with the message alone where a user's file is missing or does not fit.

    What goes wrong in the program itself keeps its traceback.
    """
    try:
        yield
    except (AnnotationError, CheckpointError, FileNotFoundError) as error:
        raise SystemExit(f'error: {error}') from None


def use_mixed_precision(cfg: Config) -> None:
    """Turn on mixed precision: float16 with loss scaling on a GPU, bfloat16 on a CPU.

    Where a FullyShardStrategy shards the model it is bfloat16, by the strategy's own option.

    Raises:
        ValueError: the config has an optimiser wrapper of another kind.
    """
    if _strategy(cfg) == 'FullyShardStrategy':
        if not cfg.strategy.get('mixed_precision'):
            cfg.strategy.mixed_precision = dict(param_dtype='bfloat16', reduce_dtype='float32')
        return
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind == 'BFloat16OptimWrapper':
        return
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp cannot change an optim_wrapper of type {kind!r}: leave --amp out, '
                         'or use an OptimWrapper')
    if get_device() == 'cpu':
        wrapper.type = 'BFloat16OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
    else:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')


def _compile_blocks(cfg: Config) -> None:
    """mmengine's ``compile=True``, or a dict of options, for each block instead of the step.

    Raises:
        ValueError: ``compile`` is neither.
    """
    options = cfg.pop('compile', None)
    if options is None or options is False:
        return
    if options is not True and not isinstance(options, dict):
        raise ValueError('compile must be True, or the options of torch.compile as a dict, not '
                         f'{options!r}')
    hook = dict({} if options is True else options, type='CompileBlocksHook')
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def _distribute_on_cpu(cfg: Config) -> None:
    """Without a GPU there is no NCCL, and DDP must not be given a device."""
    dist_cfg = cfg.setdefault('env_cfg', ConfigDict()).setdefault('dist_cfg', ConfigDict())
    if dist_cfg.get('backend', 'nccl') == 'nccl':
        dist_cfg.backend = 'gloo'
    place, key = cfg, 'model_wrapper_cfg'
    if cfg.get('runner_type') == 'FlexibleRunner':
        if cfg.get('strategy') is None:
            cfg.strategy = dict(type='DDPStrategy')
        elif _strategy(cfg) != 'DDPStrategy':
            return
        place, key = cfg.strategy, 'model_wrapper'
    wrapper = place.get(key)
    if wrapper is None:
        # What mmengine uses when a config says nothing, but for the device.
        wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                       find_unused_parameters=cfg.get('find_unused_parameters', False))
    if wrapper.get('type', 'MMDistributedDataParallel') == 'MMDistributedDataParallel':
        place[key] = dict(wrapper, device_ids=None)


def _strategy(cfg: Config) -> str | None:
    """The class of a FlexibleRunner's strategy, without the scope."""
    if cfg.get('runner_type') != 'FlexibleRunner':
        return None
    kind = (cfg.get('strategy') or {}).get('type')
    return kind and kind.split('.')[-1]


def _similar_configs(file: Path) -> str:
    """Name up to three configs beside the missing one, closest names first."""
    names = sorted(other.name for other in file.parent.glob('*.py')) if file.parent.is_dir() else []
    close = get_close_matches(file.name, names, n=3)
    return f' (beside it: {", ".join(close)})' if close else ''
