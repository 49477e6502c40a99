"""Saves and ends when the run is told to: by a scheduler that wants its machine, or by hand."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from tvtsv2_mm.checkpoints.whole import named_checkpoint
from tvtsv2_mm.registry import HOOKS
from tvtsv2_mm.utils.files import write_atomically
from tvtsv2_mm.utils.processes import PREEMPTED, STOP_SIGNALS

# One wish to stop may come twice: from the scheduler and, handed on, from torchrun.
_SAME_WISH_SECONDS = 5.0

_KEY = 'preempted'  # of the message hub, which goes with the checkpoints


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Save a checkpoint and end with exit code 85 when any rank gets SIGTERM or SIGUSR1.

    All ranks end at the same step: after each they tell one another whether one was told to stop,
    once the loss of the step is there. The checkpoint is ``iter_N.pth``, from which
    ``--resume`` goes on; it goes when a later one is there. 85 is HTCondor's code for "saved, start
    me again"; ``tools/launch.sh`` does so.

    A second signal, from 5 s after the first, ends the process at once.

    Args:
        max_seconds: from the signal to the end of a step. Where none ends by then, as in a
            validation, the run ends without saving, with the same exit code. torchrun and
            Slurm have limits of their own from the signal to SIGKILL, the saving included: 30 s
            (``TORCH_ELASTIC_SHUTDOWN_TIMEOUT`` in newer releases, and Slurm's ``KillWait``).

    Raises:
        ValueError: ``max_seconds`` is not positive.
        SystemExit: with 85, on every rank.
    """

    # After the checkpoint hook, which may save at this step.
    priority = 'LOWEST'

    def __init__(self, *, max_seconds: float = 60.0) -> None:
        if max_seconds <= 0:
            raise ValueError(f'max_seconds must be positive, got {max_seconds}')
        self.max_seconds = max_seconds
        self._signal: signal.Signals | None = None  # what this rank got, and when
        self._since = 0.0
        self._former: str | None = None
        self._timer: threading.Timer | None = None
        self._before: dict[int, Any] = {}  # the handlers that were there

    def before_train(self, runner: Runner) -> None:
        """Listen, and remember the checkpoint of an earlier end, from which this run goes on."""
        self._process, self._logger = os.getpid(), runner.logger
        self._former = runner.message_hub.runtime_info.pop(_KEY, None)
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Save and end if a rank was told to."""
        told = torch.tensor(int(self._signal is not None))
        all_reduce(told, 'max')
        if not told:
            return
        if self._timer is not None:
            self._timer.cancel()
        path = self._save(runner)
        runner.logger.warning(
            f'told to stop{f" by {self._signal.name}" if self._signal else ""}: --resume goes on '
            f'from {path}; this run ends with exit code {PREEMPTED}')
        barrier()  # torchrun stops the other ranks when the first has ended
        raise SystemExit(PREEMPTED)

    def after_train_epoch(self, runner: Runner) -> None:
        """Delete the checkpoint of the earlier end if there is a later one by now."""
        if self._former is not None and self._former != named_checkpoint(runner.work_dir):
            if is_main_process():
                if os.path.isdir(self._former):
                    shutil.rmtree(self._former)
                else:
                    Path(self._former).unlink(missing_ok=True)
            self._former = None

    def after_train(self, runner: Runner) -> None:
        """Give the signals back."""
        self.on_exit(runner, None)

    def on_exit(self, runner: Runner, error: BaseException | None) -> None:
        """Give the signals back; where the run ends as it was told, none ends it earlier."""
        ends = isinstance(error, SystemExit) and error.code == PREEMPTED
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if ends else handler)
        self._before = {}
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child that was forked
            return
        if self._signal is None:
            self._signal, self._since = signal.Signals(number), time.monotonic()
            self._timer = threading.Timer(self.max_seconds, self._give_up)
            self._timer.daemon = True
            self._timer.start()
        elif time.monotonic() - self._since > _SAME_WISH_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(self._process, number)

    def _give_up(self) -> None:
        if is_main_process():
            self._logger.error(
                f'told to stop: no step ended within {self.max_seconds:g} s, so that the run ends '
                f'with exit code {PREEMPTED} and saves nothing; --resume goes on from the last '
                'checkpoint')
        os._exit(PREEMPTED)

    @staticmethod
    def _save(runner: Runner) -> str:
        hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        folder = runner.work_dir if hook is None else hook.out_dir
        path = os.path.join(folder, f'iter_{runner.iter + 1}.pth')
        if path == named_checkpoint(runner.work_dir):  # of this step
            return path
        runner.message_hub.update_info(_KEY, path)
        runner.save_checkpoint(folder, os.path.basename(path), by_epoch=False,
                               backend_args=None if hook is None else hook.backend_args)
        if is_main_process():
            write_atomically(Path(runner.work_dir, 'last_checkpoint'), path.encode())
        return path
