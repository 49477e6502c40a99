"""Checkpoints of which the last good one stays until the next one is whole."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from tvtsv2_mm.registry import HOOKS
from tvtsv2_mm.utils.files import draft_of, remove_drafts, write_atomically

# In a checkpoint: the numbers of those that go when it is whole, for a kill may come in between.
_REPLACED = 'keep_ckpt_ids_replaced'


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """mmengine's hook of this name; a kill or a full disk loses nothing that was whole.

    mmengine's removes the oldest checkpoint, and the one that was the best, before it writes the
    next, and writes ``last_checkpoint`` in place. Here the next one is whole under its name first,
    then ``last_checkpoint`` names it, and then the old one goes: there is room for one more than
    ``max_keep_ckpts`` on the disk. What a killed run left half-written is removed at the start.

    Arguments are those of mmengine's: ``interval``, ``by_epoch``, ``max_keep_ckpts``, ...
    """

    def before_train(self, runner: Runner) -> None:
        """Find the folder, and take away what a killed run left half-written."""
        super().before_train(runner)
        if is_main_process() and '://' not in self.out_dir:
            for folder in {Path(self.out_dir), Path(runner.work_dir)}:
                remove_drafts(folder)
        if is_main_process() and self.max_keep_ckpts > 0:
            self._remove([number for number in runner.message_hub.runtime_info.get(_REPLACED, [])
                          if number not in self.keep_ckpt_ids])

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        replaced = []
        if self.max_keep_ckpts > 0 and [*self.keep_ckpt_ids][-1:] != [step]:
            ids = [*self.keep_ckpt_ids]
            replaced = ids[:max(0, len(ids) + 1 - self.max_keep_ckpts)]
            self.keep_ckpt_ids.append(step)  # it has a length, and forgets the oldest
            runner.message_hub.update_info('keep_ckpt_ids', [*self.keep_ckpt_ids])
            runner.message_hub.update_info(_REPLACED, replaced)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_atomically(Path(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
            self._remove(replaced)

    def _save_best_checkpoint(self, runner: Runner, metrics: Mapping[str, float]) -> None:
        own, self.file_backend = self.file_backend, _RemovesLater(self.file_backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
            replaced = self.file_backend.replaced
        finally:
            self.file_backend = own
        self._remove(replaced)

    def _remove(self, found: list) -> None:
        paths = [path if isinstance(path, str) else self.file_backend.join_path(
            self.out_dir, self.filename_tmpl.format(path)) for path in found]
        best = [getattr(self, 'best_ckpt_path', None),
                *getattr(self, 'best_ckpt_path_dict', {}).values()]
        for path in paths:
            if path in (self.last_ckpt, *best):  # written again
                continue
            if self.file_backend.isdir(path):
                if '://' not in path:  # a kill among its files leaves no half under its name
                    aside = draft_of(Path(path))
                    os.replace(path, aside)
                    path = str(aside)
                self.file_backend.rmtree(path)
            elif self.file_backend.isfile(path):
                self.file_backend.remove(path)


class _RemovesLater:
    """A file backend that notes what mmengine's hook removes."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.replaced: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.replaced.append(path)

    rmtree = remove
