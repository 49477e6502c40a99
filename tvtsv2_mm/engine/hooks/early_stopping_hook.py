"""Early stopping whose count outlives a resume."""

from collections.abc import Mapping

from mmengine import hooks
from mmengine.runner import EpochBasedTrainLoop, Runner

from tvtsv2_mm.registry import HOOKS


@HOOKS.register_module()
class EarlyStoppingHook(hooks.EarlyStoppingHook):
    """mmengine's hook of this name; a resumed run stops where an uninterrupted one does.

    mmengine's counts anew after a resume. Here best score and count go with the checkpoints. That
    of an epoch is written before the epoch is validated, so a run that resumes from it validates
    it first, for this hook and for ``save_best`` of CheckpointHook.

    A run that only tests is left alone; mmengine's would build its training data.

    Arguments are those of mmengine's: ``monitor``, ``rule``, ``min_delta``, ``patience``, ...
    """

    _in_training = False

    def before_run(self, runner: Runner) -> None:
        """Leave the look at the training loop to :meth:`before_train`."""

    def before_train(self, runner: Runner) -> None:
        """Take the count of the checkpoint, and make up for the validation that it is before."""
        super().before_run(runner)
        self._in_training = True
        state = runner.message_hub.runtime_info.get(self._key)
        if not runner._resume or runner.iter == 0 or state is None:
            self._store(runner)
            return
        self.wait_count, self.best_score, validated = state
        if validated != _position(runner) and _is_due(runner):
            runner.logger.info('the checkpoint is from before its validation, which comes first')
            runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Count, and stop the training where it is enough."""
        if self._in_training:
            super().after_val_epoch(runner, metrics)
            self._store(runner)

    @property
    def _key(self) -> str:
        return f'early_stopping/{self.monitor}'

    def _store(self, runner: Runner) -> None:
        runner.message_hub.update_info(
            self._key, [self.wait_count, self.best_score, _position(runner)])


def _position(runner: Runner) -> int:
    """Epochs, or iterations, that were trained."""
    return runner.epoch if isinstance(runner.train_loop, EpochBasedTrainLoop) else runner.iter


def _is_due(runner: Runner) -> bool:
    """Whether the training loop would validate here."""
    loop, position = runner.train_loop, _position(runner)
    last = loop.max_epochs if isinstance(loop, EpochBasedTrainLoop) else loop.max_iters
    loop._decide_current_val_interval()
    return (runner.val_loop is not None and position >= loop.val_begin
            and (position % loop.val_interval == 0 or position == last))
