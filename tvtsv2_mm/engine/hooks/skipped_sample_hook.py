"""Counts the samples that training had to skip, says which, and stops when there are too many."""

from collections import Counter

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvtsv2_mm.registry import HOOKS
from tvtsv2_mm.utils.errors import RunStoppedError
from tvtsv2_mm.video.errors import cause_of


@HOOKS.register_module()
class SkippedSampleHook(Hook):
    """Report skipped samples at the end of each epoch; stop the run when they are too many.

    Our training data sets put another sample in the place of one that cannot be used, and write
    down which and why in the ``skipped`` of the sample that came instead. Here these records are
    added up over all ranks.

    Args:
        max_share: Largest share of skipped among the samples drawn in an epoch, 0..1.
        min_samples: Samples drawn, on all ranks, before the share counts.
        check_interval: Iterations between two checks; each needs the ranks to meet.
        max_listed: Files named in the log at the end of an epoch.

    Raises:
        ValueError: If an argument is out of its range.
        RunStoppedError: On every rank, when the share is above ``max_share``.
    """

    priority = 'LOW'

    def __init__(self, *, max_share: float = 0.2, min_samples: int = 200,
                 check_interval: int = 50, max_listed: int = 100) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f'max_share must be in [0, 1], got {max_share}')
        if min(min_samples, check_interval, max_listed) < 1:
            raise ValueError('min_samples, check_interval and max_listed must be at least 1, got '
                             f'{min_samples}, {check_interval} and {max_listed}')
        self.max_share = max_share
        self.min_samples = min_samples
        self.check_interval = check_interval
        self.max_listed = max_listed
        self._num_used = 0
        self._skipped: Counter[tuple[str, str]] = Counter()

    def before_train_epoch(self, runner: Runner) -> None:
        """Count anew."""
        self._num_used, self._skipped = 0, Counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Count the records of a batch, and now and then check the share."""
        samples = (data_batch or {}).get('data_samples') or []
        self._num_used += len(samples)
        for sample in samples:
            for record in sample.get('skipped') or ():
                self._skipped[record['path'], record['reason']] += 1
        if self.every_n_inner_iters(batch_idx, self.check_interval):
            self._check(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Log what was skipped, on rank 0, and check the share."""
        self._check(runner, always_report=True)

    def _check(self, runner: Runner, always_report: bool = False) -> None:
        num_used, skipped = self._sum_over_ranks()
        num_skipped, num_drawn = skipped.total(), num_used + skipped.total()
        stops = num_drawn >= self.min_samples and num_skipped > self.max_share * num_drawn
        if stops or always_report:
            runner.logger.info(self._report(num_used, skipped))
        if stops:
            raise RunStoppedError(
                f'training stops: {num_skipped} of {num_drawn} drawn samples cannot be used (see '
                'the log); mend the data, or allow more than '
                f'max_share={self.max_share:g} in SkippedSampleHook')

    def _sum_over_ranks(self) -> tuple[int, Counter[tuple[str, str]]]:
        parts = all_gather_object((self._num_used, self._skipped))
        return sum(used for used, _ in parts), sum((own for _, own in parts), Counter())

    def _report(self, num_used: int, skipped: Counter) -> str:
        total = skipped.total()
        if not total:
            return f'no sample was skipped, {num_used} were used'
        lines = [f'{total} of {num_used + total} drawn samples were skipped '
                 f'({total / (num_used + total):.2%}), by cause:']
        causes: Counter[str] = Counter()
        for (_, reason), count in skipped.items():
            causes[cause_of(reason)] += count
        lines += [f'  {count} x {cause}' for cause, count in causes.most_common()]
        lines.append(f'in {len(skipped)} files:')
        lines += [f'  {path}: {reason}' for path, reason in sorted(skipped)[:self.max_listed]]
        if len(skipped) > self.max_listed:
            lines.append(f'  ... and {len(skipped) - self.max_listed} more')
        return '\n'.join(lines)
