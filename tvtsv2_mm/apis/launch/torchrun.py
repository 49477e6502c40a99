"""torchrun, whose exit code tells whether its ranks were told to stop and can go on.

Called as torchrun is. torchrun itself ends with 1 whatever its ranks say, and SIGUSR1 ends it.
"""

import os
import signal
import sys
from types import FrameType

from tvtsv2_mm.utils.processes import LAUNCHER, PREEMPTED, STOP_SIGNALS

# From a signal to SIGKILL, for ranks to save; of torch 2.9 or newer, before it is always 30 s.
_SECONDS_TO_SAVE = '300'


def main() -> None:
    """Run torchrun; ends with ``PREEMPTED`` where it, or a rank, was told to stop."""
    os.environ[LAUNCHER] = str(os.getpid())
    os.environ.setdefault('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', _SECONDS_TO_SAVE)
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    def hand_on(number: int, frame: FrameType | None) -> None:
        raise SignalException('told to stop', sigval=signal.Signals(number))

    signal.signal(signal.SIGUSR1, hand_on)
    try:
        run.main()
    except ChildFailedError as error:
        if not any(failure.exitcode == PREEMPTED for failure in error.failures.values()):
            raise
        sys.exit(PREEMPTED)
    except SignalException as error:
        if error.sigval not in STOP_SIGNALS:
            raise
        sys.exit(PREEMPTED)


if __name__ == '__main__':
    main()
