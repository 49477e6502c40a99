"""Which checkpoint of a work folder a run goes on from: the newest that is whole, for all ranks."""

import math
import re
import socket
import time
from logging import Logger
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process

from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.sharded import is_sharded, restore_sharded
from tvtsv2_mm.checkpoints.whole import check_whole, named_checkpoint
from tvtsv2_mm.utils.errors import UserFileError

_PATIENCE_S = 60.0  # a network disk may show a new name that late to other machines


def agree_on_latest(cfg: Config, logger: Logger) -> str | None:
    """Let rank 0 choose by :func:`latest_checkpoint`; for all ranks to call.

    Each for itself could find another one, where ranks see the disk at different times.

    Raises:
        CheckpointError: on every rank, that of rank 0, or some machine does not see the file.
    """
    found: list = [None, None]
    if is_main_process():
        try:
            found[0] = latest_checkpoint(cfg, logger)
        except (UserFileError, OSError) as error:
            found[1] = error
    broadcast_object_list(found)
    path, error = found
    if error is not None:
        raise error
    if path is not None:
        seen = all_gather_object((socket.gethostname(), _appears(Path(path))))
        blind = sorted({host for host, there in seen if not there})
        if blind:
            raise CheckpointError(
                f'{path} cannot be seen on {", ".join(blind)}: the work folder of a run must be on '
                'a disk that all its machines see')
    return path


def latest_checkpoint(cfg: Config, logger: Logger) -> str | None:
    """The newest checkpoint of the work folder that is whole; None where there is none yet.

    It is the one that ``last_checkpoint`` names, which is never too new; where that one is damaged
    or gone, or ``last_checkpoint`` itself, the one before, and the log says so.

    Raises:
        CheckpointError: there are some, of which none is whole; ``last_checkpoint`` names one of
            another run; a plain run would go on from a sharded one.
    """
    for folder in checkpoint_folders(cfg):
        if folder.is_dir():
            restore_sharded(folder)
    named, refused = _named(cfg), []
    for path in [*([named] if named else []), *_before(cfg, named)]:
        check_resumable(cfg, str(path))
        try:
            check_whole(path)
        except (CheckpointError, FileNotFoundError) as error:
            refused.append(error)
            continue
        if refused:
            logger.warning(f'{refused[0]}. The run goes on from the one before, {path}')
        return str(path)
    if refused:
        raise CheckpointError(
            f'{refused[0]}; and {cfg.work_dir} has no other that is whole. Give one (--resume '
            'CHECKPOINT), or remove these to start anew') from refused[0]
    logger.info(f'there is no checkpoint in {cfg.work_dir} yet: the run starts from '
                f'{cfg.get("load_from") or "random weights (load_from is None)"}')
    return None


def is_begun(cfg: Config) -> bool:
    """Whether a run has left checkpoints in the work folder, whole ones or not.

    Raises:
        CheckpointError: as :func:`latest_checkpoint`, of ``last_checkpoint``.
    """
    return _named(cfg) is not None or bool(_before(cfg, None))


def check_resumable(cfg: Config, checkpoint: str) -> None:
    """Look whether a run of this kind goes on from a checkpoint of that kind.

    Raises:
        CheckpointError: it is a folder, from which only a sharded run does.
    """
    strategy = (cfg.get('strategy') or {}).get('type') or ''
    shards = cfg.get('runner_type') == 'FlexibleRunner' and strategy.endswith('FullyShardStrategy')
    if not shards and is_sharded(checkpoint):
        raise CheckpointError(
            f'{checkpoint} is a sharded checkpoint, from which only a run with FullyShardStrategy '
            'goes on (docs/scale.md); give it as load_from to start a new run with its weights')


def checkpoint_folders(cfg: Config) -> set[Path]:
    """Where a run may write checkpoints."""
    folders = {Path(cfg.work_dir).resolve()}
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if hook.get('out_dir'):  # where the checkpoint hook writes, in a folder of the same name
        folders.add(Path(hook['out_dir'], Path(cfg.work_dir).name).resolve())
    return folders


def _named(cfg: Config) -> Path | None:
    name = named_checkpoint(cfg.work_dir)
    if name is None:
        return None
    if '://' in name or Path(name).resolve().parent not in checkpoint_folders(cfg):
        raise CheckpointError(
            f'{cfg.work_dir}/last_checkpoint names a file that is not in its folder: {name}. If '
            'the run is to go on from it, give it: --resume CHECKPOINT')
    return Path(name)


def _before(cfg: Config, named: Path | None) -> list[Path]:
    """Those with smaller numbers in their names, the largest first; times may be set back.

    Where one by iterations is named, as after a run that was told to stop, those by epochs follow.
    """
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if named is not None:
        folders, name = [named.parent], named.name
    else:
        kind = 'epoch_{}.pth' if hook.get('by_epoch', True) else 'iter_{}.pth'
        name = (hook.get('filename_tmpl') or kind).format(10 ** 15)
        folders = [Path(cfg.work_dir), *sorted(checkpoint_folders(cfg))]
    parts = re.fullmatch(r'(.*?)(\d+)(\D*)', name)
    if parts is None:
        return []
    before = _numbered(folders, parts[1], parts[3], int(parts[2]))
    if named is not None and parts[1] == 'iter_':
        before += _numbered(folders, 'epoch_', parts[3])
    return before


def _numbered(folders: list[Path], start: str, end: str, below: float = math.inf) -> list[Path]:
    like = re.compile(re.escape(start) + r'(\d+)' + re.escape(end))
    found = {int(match[1]): path for folder in reversed(folders) if folder.is_dir()
             for path in folder.iterdir() if (match := like.fullmatch(path.name))}
    return [found[number] for number in sorted(found, reverse=True) if number < below]


def _appears(path: Path) -> bool:
    end = time.monotonic() + _PATIENCE_S
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
        if path.parent.is_dir():
            next(path.parent.iterdir(), None)  # a network disk looks again
    return True
