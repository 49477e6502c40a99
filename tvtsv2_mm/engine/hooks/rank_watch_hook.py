"""Sees ranks that were stopped, killed or left behind, says which, and ends the others."""

import json
import os
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from mmengine.dist import barrier, get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import distributed as dist

from tvtsv2_mm.registry import HOOKS
from tvtsv2_mm.utils.errors import RunStoppedError

# What has told of a fault gets this long to say so, before launchers end it for the others' end.
_GRACE_SECONDS = 5.0
_VERDICT = 'verdict'
_BEHIND = 'behind'  # the ranks that are to say where
_TIMEOUT_SECONDS = 1800.0  # torch's own of a process group


@HOOKS.register_module()
class RankWatchHook(Hook):
    """End all ranks, with one message that names the one at fault, where one has left the others.

    A thread of each rank gives a sign of life to the store in which torch's ranks have met, and
    looks for that of the next rank. So it is seen when a rank

    - is stopped, or its machine is: no sign of life for ``max_silence`` seconds. A validation, or
      data that take long, are none; a single call that keeps Python's lock for so long is one;
    - has ended, for an error of its own or a SIGKILL: as soon as another rank misses it;
    - does not come to a step in which others wait: at 9/10 of the process group's timeout
      (``env_cfg.dist_cfg.timeout``, seconds), after which torch would end without its name. It
      says at which line it is.

    The ranks end with exit code 1; one tells why. What was killed under torchrun, torchrun tells.

    Args:
        max_silence: seconds without a sign of life.

    Raises:
        ValueError: ``max_silence`` is not positive.
    """

    # Last, so that the work of other hooks counts as that between the steps.
    priority = 'LOWEST'

    def __init__(self, *, max_silence: float = 120.0) -> None:
        if max_silence <= 0:
            raise ValueError(f'max_silence must be positive, got {max_silence}')
        self.max_silence = max_silence
        self._watch: _Watch | None = None

    def before_run(self, runner: Runner) -> None:
        """Begin."""
        if get_dist_info()[1] == 1 or 'MASTER_PORT' not in os.environ:
            return
        env_cfg = runner.cfg.get('env_cfg') or {}
        timeout = (env_cfg.get('dist_cfg') or {}).get('timeout', _TIMEOUT_SECONDS)
        try:
            self._watch = _Watch(runner, self.max_silence, 0.9 * timeout)
        except RuntimeError as error:  # the ranks have met in another way
            runner.logger.warning(f'the ranks are not watched: {_first_line(error)}')
        else:
            self._watch.start()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note where this rank is."""
        if self._watch is not None:
            self._watch.note(runner.iter + 1, inside=True)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Note where this rank is."""
        if self._watch is not None:
            self._watch.note(runner.iter + 1, inside=False)

    def after_run(self, runner: Runner) -> None:
        """End, when all have come: who is done first takes the store along."""
        if self._watch is not None:
            barrier()
            self.on_exit(runner, None)

    def on_exit(self, runner: Runner, error: BaseException | None) -> None:
        """End, and leave word of an error, so that the others end without words of their own.

        Raises:
            SystemExit: the error is but what another rank has left behind.
        """
        watch, self._watch = self._watch, None
        if watch is None:
            return
        if isinstance(error, Exception) and not isinstance(error, RunStoppedError):
            watch.leave(error)
        watch.stop()


class _Watch(threading.Thread):
    """The thread.

    Args:
        runner: that of this rank.
        max_silence: seconds without a sign of life.
        max_wait: seconds in a step to which another rank has not come.
    """

    def __init__(self, runner: Runner, max_silence: float, max_wait: float) -> None:
        super().__init__(daemon=True, name='rank watch')
        self.logger = runner.logger
        self.max_silence, self.max_wait = max_silence, max_wait
        self.interval = min(2.0, max_silence / 10)
        self.rank, self.world_size = get_dist_info()
        self._note: tuple[int, bool, float] = (0, False, time.monotonic())
        self._count = 0
        self._stopped = threading.Event()
        self._last_word = threading.Lock()
        # Its own connection: a call on it waits for no other of this process.
        host, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
        store = dist.TCPStore(host, port, is_master=False,
                              timeout=timedelta(seconds=max_silence))
        # Who is started again by torchrun finds the store of before.
        again = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
        self._store = dist.PrefixStore(f'rank_watch/{runner.timestamp}/{again}', store)
        self._give_sign()  # whoever has given one is missed, even if there is no second

    def note(self, iteration: int, *, inside: bool) -> None:
        """Where this rank is: in a step, counted from 1, or behind it."""
        self._note = iteration, inside, time.monotonic()

    def stop(self) -> None:
        """End the thread, which may wait for the store."""
        self._stopped.set()
        self.join(self.interval)

    def run(self) -> None:
        """Give signs of life and look for those of the next rank."""
        threading.Thread(target=self._watch_store, daemon=True).start()
        neighbour = (self.rank + 1) % self.world_size
        silence, before = 0.0, None
        while not self._stopped.wait(self.interval):
            try:
                self._give_sign()
                self._end_if_told()
                sign = self._sign_of(neighbour)
                # Not by the clock: a rank that was itself stopped for a while accuses nobody.
                silence = silence + self.interval if sign is not None and sign == before else 0.0
                before = sign
                if silence > self.max_silence:
                    self._end(f'{_name(neighbour, sign)} has given no sign of life for '
                              f'{silence:.0f} s (stopped, killed, or its machine is gone); it was '
                              f'{_place(sign)}')
                self._end_if_others_are_behind()
            except RuntimeError as error:
                self._end_without_store(_first_line(error))

    def _watch_store(self) -> None:
        """See that the store answers: a question to one that is stopped waits for ever."""
        silence, before = 0.0, 0
        while not self._stopped.wait(self.interval):
            silence = silence + self.interval if self._count == before else 0.0
            before = self._count
            if silence > self.max_silence:
                self._end_without_store(f'no answer for {silence:.0f} s')

    def leave(self, error: Exception) -> None:
        """Tell the others that this rank ends.

        Raises:
            SystemExit: the error is but what another rank has left behind.
        """
        try:
            if _is_of_communication(error) and not self._told():
                missing = self._missing()
                if missing:
                    self._stopped.set()
                    if self._tell(missing):
                        self.logger.error(f'training stops: {missing}')
                        time.sleep(2 * self.interval)  # as in _end
                    raise SystemExit(1) from error
            if not self._tell(f'rank {self.rank} ended with {type(error).__name__}: '
                              f'{_first_line(error)}'):
                raise SystemExit(1) from error
            if self.rank == 0:
                time.sleep(2 * self.interval)  # as in _end
        except RuntimeError as lost:  # the store has gone, with the rank that kept it
            if _is_of_communication(error):
                self._end_without_store(_first_line(lost))

    def _give_sign(self) -> None:
        self._count += 1
        iteration, inside, since = self._note
        self._store.set(str(self.rank), json.dumps(dict(
            count=self._count, iteration=iteration, inside=inside,
            seconds=time.monotonic() - since, process=os.getpid(), host=socket.gethostname())))

    def _sign_of(self, rank: int) -> dict | None:
        key = str(rank)
        return json.loads(self._store.get(key)) if self._store.check([key]) else None

    def _tell(self, message: str) -> bool:
        """Write why all end, if nobody has; returns whether it is this rank's word that counts."""
        own = f'{self.rank}: {message}'
        return self._store.compare_set(_VERDICT, '', own).decode() == own

    def _told(self) -> bool:
        return self._store.check([_VERDICT])

    def _end_if_told(self) -> None:
        if not self._told():
            return
        if self._store.check([_BEHIND]) and self.rank in json.loads(self._store.get(_BEHIND)):
            frame = sys._current_frames()[cast(int, threading.main_thread().ident)]
            self.logger.error(
                f'rank {self.rank} is here:\n{"".join(traceback.format_stack(frame))}')
        if not self._stopped.wait(_GRACE_SECONDS):
            os._exit(1)

    def _end(self, message: str) -> None:
        if self._tell(message):
            self.logger.error(f'training stops: {message}')
            time.sleep(2 * self.interval)  # for the others to read it: the store may be here
            os._exit(1)
        self._end_if_told()

    def _end_without_store(self, reason: str) -> None:
        if not self._stopped.wait(1):  # of a run that ends, as it has ended elsewhere
            self._last_word.acquire()  # two threads may miss it
            self.logger.error(f'training stops: rank {self.rank} does not reach the store of the '
                              f'ranks, which the launcher or rank 0 keeps: {reason}')
            os._exit(1)

    def _end_if_others_are_behind(self) -> None:
        iteration, inside, since = self._note
        waited = time.monotonic() - since
        if not inside or waited < self.max_wait:
            return
        signs = {rank: self._sign_of(rank) for rank in range(self.world_size)}
        behind = [rank for rank, sign in signs.items() if sign is None or
                  (sign['iteration'], not sign['inside']) < (iteration, False)]
        if behind:
            told = ', '.join(f'{_name(rank, signs[rank])} is {_place(signs[rank])}'
                             for rank in behind[:8])
            self._store.set(_BEHIND, json.dumps(behind))
            self._end(f'rank {self.rank} has waited for {waited:.0f} s in step {iteration}: {told}')

    def _missing(self) -> str:
        """Name the ranks that give no more signs of life."""
        before = [self._sign_of(rank) for rank in range(self.world_size)]
        time.sleep(3 * self.interval)
        gone = [rank for rank in range(self.world_size)
                if rank != self.rank and self._sign_of(rank) == before[rank]]
        return '; '.join(f'{_name(rank, before[rank])} has gone (killed, or out of memory?), '
                         f'{_place(before[rank])}' for rank in gone[:8])


def _name(rank: int, sign: Mapping | None) -> str:
    return f'rank {rank}' + (f' (process {sign["process"]} on {sign["host"]})' if sign else '')


def _place(sign: Mapping | None) -> str:
    if not sign or not sign['iteration']:
        return 'before the first step'
    where = 'in' if sign['inside'] else 'behind'
    return f'{where} step {sign["iteration"]} for {sign["seconds"]:.0f} s'


def _is_of_communication(error: Exception) -> bool:
    """Whether ranks do not reach one another; gloo's errors have no class of their own."""
    return isinstance(error, dist.DistError) or (
        type(error) is RuntimeError and bool(re.search('gloo|NCCL|peer', str(error))))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split('\n')[0][:300]
