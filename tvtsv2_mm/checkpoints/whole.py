"""Checkpoints of a run: written whole or not at all, and looked at before a run goes on from one.

The checksums are where ``torch.save`` puts them, in the file itself (CRC-32 of each tensor and of
what is no tensor), so that they can neither lag behind it nor be left behind; torch writes them and
never looks. The table of a sharded checkpoint has its SHA-256 in ``run_state.pth``.
"""

from pathlib import Path
from typing import Any

import torch

from tvtsv2_mm.utils.files import make_folder, open_to_save, write_atomically

from .errors import UNREADABLE, naming, reading
from .sharded import check_sharded, is_sharded
from .untrusted import check_sums


def save_whole(content: Any, path: Path) -> None:
    """``torch.save`` under a name that is not there before all is; makes the folder.

    What another process has mapped into memory under this name stays as it is.

    Raises:
        UnwritableError: the disk is full, may not be written to or fails.
    """
    def save(draft: Path) -> None:
        with open_to_save(draft) as file:
            torch.save(content, file)

    make_folder(path.parent)
    write_atomically(path, save)


def check_whole(path: Path) -> None:
    """Compare a run's checkpoint with its checksums; 1 GB takes 0.4 s, and its reading.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is cut off or was changed.
    """
    if not path.exists():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    with reading(path), naming(path, UNREADABLE):
        if is_sharded(path):
            check_sharded(path)
        else:
            with path.open('rb') as file:
                check_sums(file)


def named_checkpoint(work_dir: str | Path) -> str | None:
    """What ``last_checkpoint`` of a work folder names; None where it is missing or empty."""
    file = Path(work_dir, 'last_checkpoint')
    return file.read_text('utf-8').strip() or None if file.is_file() else None
