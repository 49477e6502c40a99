"""What ``tools/train.py`` and ``tools/test.py`` share: config, runner."""

import argparse
import errno
import logging
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, get_dist_info, is_main_process
from mmengine.infer import BaseInferencer
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from tvtsv2_mm.apis.launch.fit_to_model import LOADERS, fit_to_model
from tvtsv2_mm.apis.launch.latest import (
    agree_on_latest,
    check_resumable,
    checkpoint_folders,
    is_begun,
)
from tvtsv2_mm.apis.launch.overrides import apply_overrides
from tvtsv2_mm.apis.launch.schedule import settle_schedule
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.lora import check_same_adapters
from tvtsv2_mm.checkpoints.published import RELEASED, locate
from tvtsv2_mm.checkpoints.whole import check_whole
from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.registry import RUNNERS
from tvtsv2_mm.utils.config_errors import ConfigError, config_errors, names_in, nearest, walk
from tvtsv2_mm.utils.errors import RunStoppedError, UserFileError, one_error
from tvtsv2_mm.utils.files import writing
from tvtsv2_mm.utils.locks import is_locked, locked
from tvtsv2_mm.utils.processes import (
    end_with_parent,
    fork_when_threads_rest,
    leave_signals_to_parent,
)
from tvtsv2_mm.utils.tokenizer_files import copy_tokenizer

_MMENGINES = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')

# What a run that was killed may take to end: its locks are held until then.
_SECONDS_TO_END = 10.0


def load_config(path: str) -> Config:
    """Read a config file.

    Raises:
        FileNotFoundError: the file, or one that it is based on, does not exist.
        ValueError: the file is no config file, or running it fails.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f'there is no config {path}{_similar_configs(file)}; paths are relative to the folder '
            f'that you are in ({Path.cwd()})')
    # JSON and YAML look like data, but what they name would be imported and called all the same.
    if file.suffix != '.py':
        raise ValueError(f'{path}: a config is a Python file, which ends in .py; those in JSON or '
                         'YAML are not read here: write the same as Python, key = value')
    try:
        return Config.fromfile(path)
    except FileNotFoundError as error:
        missing = Path(error.filename or str(error).partition('"')[2].partition('"')[0])
        raise FileNotFoundError(f'{path} is based on (_base_) {missing}, which does not exist'
                                f'{_similar_configs(missing)}') from None
    except Exception as error:  # a config is code of the user's
        raise ValueError(f'{path} cannot be read as a config: {type(error).__name__}: '
                         f'{" ".join(str(error).split())}') from error


def check_file(path: str, what: str) -> str:
    """Return the path of a file or folder that is given by the user and must be there.

    URLs and other places with a scheme are left to mmengine.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    if '://' not in path and not Path(path).expanduser().exists():
        raise FileNotFoundError(f'there is no {what} {path}')
    return path


def check_checkpoint(place: str, what: str = 'checkpoint') -> str:
    """Return the path of a checkpoint that is given by its path, or by a name: then it is fetched.

    Raises:
        FileNotFoundError: there is no such file, folder or name.
        CheckpointError: it cannot be fetched (:func:`~tvtsv2_mm.checkpoints.published.locate`).
    """
    try:
        return check_file(locate(place), what)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{error}{nearest(place, RELEASED)}') from None


def apply_resume(cfg: Config, checkpoint: str | None) -> None:
    """Put into the config what the run goes on from, or that it starts; call it last.

    Args:
        cfg: with ``resume`` and ``load_from`` for the runner of :func:`build_runner` afterwards.
        checkpoint: of ``--resume``; ``'auto'`` is the latest in the work folder, which the runner
            looks for, and starts where there is none yet. None leaves it to the config's own
            ``resume``.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        CheckpointError: the checkpoint is a folder, from which only a sharded run goes on.
    """
    if checkpoint is None and cfg.get('resume'):
        checkpoint = 'auto' if cfg.resume == 'auto' else cfg.get('load_from') or 'auto'
    if checkpoint in (None, 'auto'):
        cfg.resume = checkpoint or False
        return
    check_resumable(cfg, check_file(checkpoint, 'checkpoint'))
    cfg.resume, cfg.load_from = True, checkpoint


def apply_launch_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Put the shared arguments into the config, and make it fit the machine.

    Call it last: ``--cfg-options`` has the last word.
    """
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    start = cfg.get('load_from')
    apply_overrides(cfg, args.cfg_options or {})
    _follow_start(cfg, start)
    cfg.work_dir = str(cfg.work_dir)
    resume = getattr(args, 'resume', None)
    fit_to_model(cfg, fetch=resume is None or (resume == 'auto' and not is_begun(cfg)))
    _leave_out_hooks(cfg)
    _compile_blocks(cfg)
    if get_device() == 'cuda':
        _copy_while_it_computes(cfg)
    if cfg.launcher == 'pytorch' and get_device() == 'cpu':
        _distribute_on_cpu(cfg)


def _follow_start(cfg: Config, before: str | None) -> None:
    """Let a hook that reads the checkpoint that is started from read another one too, or none."""
    for hook in (cfg.get('default_hooks') or {}).values():
        if isinstance(hook, dict) and 'checkpoint' in hook and hook['checkpoint'] == before:
            hook['checkpoint'] = cfg.get('load_from')


class _OurRunner:  # mixed into a runner
    """Builds with its words for the log file alone, and resumes or gives one error."""

    _whole: str | None = None  # what was looked at already

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, alone in the folder, with the files of the tokenizer beside the checkpoints."""
        cfg: Config = self.cfg  # pyrefly: ignore[missing-attribute]
        folders = {part.get('tokenizer', 'clip') for _, part in walk(cfg._cfg_dict)
                   if isinstance(part, dict) and str(part.get('type')).endswith('TokenizeText')}
        with _held(checkpoint_folders(cfg)), self._telling_hooks(), _told_of_log(cfg):
            if is_main_process():
                for folder in folders:
                    for target in checkpoint_folders(cfg):
                        copy_tokenizer(folder, target)
            return super().train(*args, **kwargs)  # pyrefly: ignore[missing-attribute]

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """Test."""
        with self._telling_hooks():
            return super().test(*args, **kwargs)  # pyrefly: ignore[missing-attribute]

    @contextmanager
    def _telling_hooks(self) -> Generator[None]:
        """Tell hooks with ``on_exit`` of the end, and with which error, whatever it is."""
        try:
            yield
        except BaseException as error:
            self.call_hook('on_exit', error=error)
            raise
        self.call_hook('on_exit', error=None)

    def dump_config(self) -> None:
        """Write the config, but not over that of a run which holds the folder."""
        if not is_locked(self.work_dir):  # pyrefly: ignore[missing-attribute]
            super().dump_config()  # pyrefly: ignore[missing-attribute]

    def build_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """Build a loader whose processes are of this rank; mmengine's is a static method."""
        loader = super().build_dataloader(  # pyrefly: ignore[missing-attribute]
            *args, **kwargs)
        if get_dist_info()[1] > 1:
            fork_when_threads_rest()
        loader.worker_init_fn = partial(_begin_worker, loader.worker_init_fn)
        return loader

    def load_or_resume(self) -> None:
        """Load what is given, or what all ranks agree on; the checkpoint is whole."""
        run = cast(Any, self)
        if run._resume == 'auto' and not run._has_loaded:
            latest = agree_on_latest(run.cfg, run.logger)
            run._resume = run.cfg.resume = latest is not None
            if latest is not None:
                run._load_from = run.cfg.load_from = self._whole = latest
        super().load_or_resume()  # pyrefly: ignore[missing-attribute]

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on from a checkpoint; mmengine believes what it says of optimiser and log."""
        with one_error(f'no run can go on from {filename} (as load_from it gives its weights '
                       'alone)', CheckpointError):
            if is_main_process() and filename != self._whole and '://' not in filename:
                check_whole(Path(filename).expanduser())
            super().resume(filename, *args, **kwargs)  # pyrefly: ignore[missing-attribute]
            _check_optimizer(self.optim_wrapper)  # pyrefly: ignore[missing-attribute]

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call the hooks; a run goes on with the adapters that its optimiser has the state of."""
        run = cast(Any, self)
        resumes = fn_name == 'after_load_checkpoint' and run._resume
        if resumes:
            check_same_adapters(kwargs['checkpoint'].get('state_dict', {}),
                                bare_model(run).state_dict())
        super().call_hook(fn_name, **kwargs)  # pyrefly: ignore[missing-attribute]
        if resumes:
            if kwargs['checkpoint'].get('optimizer', {}) == {}:
                raise CheckpointError('it has no state of an optimiser')
            settle_schedule(run, kwargs['checkpoint'], new=bool(run.cfg.get('new_schedule')))

    def build_logger(self, log_level: int | str = 'INFO', *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; with the level DEBUG the console gets everything."""
        logger = super().build_logger(  # pyrefly: ignore[missing-attribute]
            log_level, *args, **kwargs)
        if log_level not in ('DEBUG', logging.DEBUG):
            for handler in _consoles(logger):
                handler.setLevel(max(handler.level, logging.WARNING))
        return logger


def _told_of_log(cfg: Config) -> AbstractContextManager:
    """Name the folder where a disk fails: what mmengine writes of the log tells no file."""
    return writing(Path(cfg.work_dir, 'log'), (errno.ENOSPC, errno.EDQUOT, errno.EROFS))


def _begin_worker(begin: Callable | None, number: int) -> None:
    """Let a process of a loader end with its rank, and no signal to the whole job before it."""
    end_with_parent()
    leave_signals_to_parent()
    if begin is not None:
        begin(number)


@contextmanager
def _held(folders: Iterable[Path]) -> Generator[None]:
    """Keep other runs out of folders; all ranks call it, and are one run.

    Raises:
        RunStoppedError: another run is there.
    """
    with ExitStack() as held:
        problem: list[str | None] = [None]
        if is_main_process():
            try:
                for folder in sorted(folders):
                    held.enter_context(locked(folder, _SECONDS_TO_END))
            except (UserFileError, OSError) as error:
                problem = [str(error)]
        broadcast_object_list(problem)
        if problem[0] is not None:
            raise RunStoppedError(problem[0])
        yield


def _check_optimizer(wrapper: Any) -> None:
    """Compare what optimisers keep of a parameter with its size, which torch does not.

    Raises:
        CheckpointError: they differ.
    """
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    for parameter, kept in (item for one in wrappers for item in one.optimizer.state.items()):
        for name in ('exp_avg', 'exp_avg_sq', 'momentum_buffer'):
            value = kept.get(name)
            if value is not None and value.shape != parameter.shape:
                raise CheckpointError(
                    f'its optimiser keeps {name} of a parameter of {tuple(value.shape)}, which has '
                    f'{tuple(parameter.shape)} by the config')


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config asks for.

    The environment, the whole config and the list of hooks go into the log file alone.
    """
    level = cfg.get('log_level', 'INFO')
    levels = {name: number for name, number in vars(logging).items()
              if name.isupper() and isinstance(number, int)}
    if level not in {*levels, *levels.values()}:
        raise ConfigError(f'log_level: there is no {level}{nearest(str(level), levels)}')
    kind = RUNNERS.get(cfg.get('runner_type', 'Runner'))
    if kind is None:
        raise ConfigError(f'runner_type: there is no {cfg.runner_type}'
                          f'{nearest(str(cfg.runner_type), names_in(RUNNERS))}')
    if (cfg.get('randomness') or {}).get('deterministic'):
        # cuBLAS needs it from its first product on; without it torch refuses every one.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    cls: Any = type(kind.__name__, (_OurRunner, kind), {})
    with _told_of_log(cfg):
        runner = cls.from_cfg(cfg)
    if is_main_process():
        for handler in _consoles(runner.logger):
            handler.setLevel(level)
    return runner


def _consoles(logger: MMLogger) -> list[logging.Handler]:
    return [handler for handler in logger.handlers if not isinstance(handler, logging.FileHandler)]


@contextmanager
def plain_errors() -> Generator[None]:
    """End the program with the message alone where a user's file or config does not fit.

    What goes wrong in the program itself keeps its traceback; that of an error in the config goes
    into the log file, for the fault may be ours.
    """
    try:
        with config_errors():
            yield
    except RunStoppedError as error:  # on all ranks
        raise SystemExit(f'error: {error}' if is_main_process() else 1) from None
    except (UserFileError, ConfigError, OSError) as error:
        if error.__cause__ is not None:
            record = logging.LogRecord('mmengine', logging.INFO, __file__, 0, 'the error below', (),
                                       (type(error), error, error.__traceback__))
            for handler in MMLogger.get_current_instance().handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.emit(record)
        raise SystemExit(f'error: {error}') from None


def use_mixed_precision(cfg: Config) -> None:
    """Turn on mixed precision: bfloat16, or float16 with loss scaling on a GPU that has no such.

    Where a FullyShardStrategy shards the model it is bfloat16, by the strategy's own option.

    Raises:
        ValueError: the config has an optimiser wrapper of another kind.
    """
    if _strategy(cfg) == 'FullyShardStrategy':
        if not cfg.strategy.get('mixed_precision'):
            cfg.strategy.mixed_precision = dict(param_dtype='bfloat16', reduce_dtype='float32')
        return
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper').rpartition('.')[2]
    if kind == 'BFloat16OptimWrapper':
        return
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f'--amp cannot change an optim_wrapper of type {kind!r}: leave --amp out, '
                         'or use an OptimWrapper')
    device = get_device()
    if device == 'cpu' or (kind == 'OptimWrapper' and device == 'cuda'
                           and torch.cuda.is_bf16_supported(including_emulation=False)):
        wrapper.type = 'tvtsv2_mm.BFloat16OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
    else:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')


def _leave_out_hooks(cfg: Config) -> None:
    """``default_hooks.NAME=None``, which mmengine knows of its own hooks alone."""
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in _MMENGINES]:
        del hooks[name]


def _compile_blocks(cfg: Config) -> None:
    """mmengine's ``compile=True``, or a dict of options, for each block instead of the step."""
    options = cfg.pop('compile', None)
    if options is None or options is False:
        return
    if options is not True and not isinstance(options, dict):
        raise ValueError('compile must be True, or the options of torch.compile as a dict, not '
                         f'{options!r}')
    hook = dict({} if options is True else options, type='tvtsv2_mm.CompileBlocksHook')
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def _copy_while_it_computes(cfg: Config) -> None:
    """A GPU waits for no batch that is copied from pinned memory; a CPU has none to pin."""
    for loader in LOADERS:
        if isinstance(cfg.get(loader), dict):
            cfg[loader].setdefault('pin_memory', True)
    preprocessor = (cfg.get('model') or {}).get('data_preprocessor') or {}
    # Others', of which not all know the option, wait.
    if str(preprocessor.get('type')).endswith('VideoTextDataPreprocessor'):
        preprocessor.setdefault('non_blocking', True)


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
    """Name up to three configs beside the missing one, or of this package, closest names first."""
    own = Path(BaseInferencer._get_repo_or_mim_dir('tvtsv2_mm'), 'configs', 'tvtsv2')
    for folder, there in ((file.parent, 'beside it'), (own, f'in {own}')):
        names = sorted(other.name for other in folder.glob('*.py')) if folder.is_dir() else []
        close = get_close_matches(file.name, names, n=3)
        if close:
            return f' ({there}: {", ".join(close)})'
    return ''
