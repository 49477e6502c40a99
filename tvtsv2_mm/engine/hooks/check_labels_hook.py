"""Compares the labels of the data with the classes of the model before a run spends its time."""

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import Dataset

from tvtsv2_mm.datasets import LabeledVideoDataset
from tvtsv2_mm.registry import HOOKS


@HOOKS.register_module()
class CheckLabelsHook(Hook):
    """Stop at the start where a label of a LabeledVideoDataset is beyond the classes.

    Those are the ``num_classes`` of the ``cls_head``. Training looks at the validation's labels as
    well.

    Raises:
        AnnotationError: With file and line.
    """

    def before_train(self, runner: Runner) -> None:
        """Check what is trained on, and what will be validated on."""
        self._check(runner, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self._check(runner, runner.val_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        """Check: no training may have begun with it."""
        self._check(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Check."""
        self._check(runner, runner.test_dataloader.dataset)

    @staticmethod
    def _check(runner: Runner, dataset: Dataset) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        num_classes = getattr(getattr(model, 'cls_head', None), 'num_classes', None)
        if num_classes is not None:
            for part in _labelled(dataset):
                part.check_labels(num_classes)


def _labelled(dataset: Dataset) -> Iterator[LabeledVideoDataset]:
    """The data set, or those that it repeats or concatenates."""
    if isinstance(dataset, LabeledVideoDataset):
        yield dataset
    for part in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
        if part is not None:
            yield from _labelled(part)
