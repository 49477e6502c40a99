"""Compares the labels of the data with the classes of the model before a run spends its time."""

from collections.abc import Iterator
from os.path import normpath

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from tvtsv2_mm.datasets import LabeledVideoDataset
from tvtsv2_mm.datasets.annotations import AnnotationError, load_labels
from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.registry import HOOKS


@HOOKS.register_module()
class CheckLabelsHook(Hook):
    """Stop at the start where a label of a LabeledVideoDataset is beyond the classes.

    Those are the ``num_classes`` of the ``cls_head``. Training looks at the validation's labels as
    well, and warns of videos that are in both.

    Raises:
        AnnotationError: With file and line; or a ``cls_head`` has more ``classes`` than the
            config's ``num_classes``: a line too many would shift the names behind it.
    """

    _trains = False

    def before_train(self, runner: Runner) -> None:
        """Check what is trained on, and what will be validated on."""
        self._trains = True
        trained = self._check(runner, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            common = trained & self._check(runner, runner.val_dataloader.dataset)
            if common:
                runner.logger.warning(
                    f'{len(common)} videos are trained on and validated on, such as '
                    f'{min(common)}: the figures are not those of videos that the model never saw')

    def before_val(self, runner: Runner) -> None:
        """Check, unless a training began with it."""
        if not self._trains:
            self._check(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Check."""
        self._check(runner, runner.test_dataloader.dataset)

    @staticmethod
    def _check(runner: Runner, dataset: Dataset) -> set[str]:
        """Check, and return the names of the videos with labels."""
        model = bare_model(runner)
        head, expected = getattr(model, 'cls_head', None), runner.cfg.get('num_classes')
        num_classes, names = getattr(head, 'num_classes', None), set()
        if hasattr(head, 'classes') and expected is not None and num_classes > expected:
            raise AnnotationError(f'cls_head.classes names {num_classes} classes, but the config '
                                  f'has num_classes={expected}: is a line of the list no class?')
        for part in _labelled(dataset):
            names |= {normpath(name) for name, _ in load_labels(part.ann_file, num_classes)}
        return names


def _labelled(dataset: Dataset) -> Iterator[LabeledVideoDataset]:
    """The data set, or those that it repeats or concatenates."""
    if isinstance(dataset, LabeledVideoDataset):
        yield dataset
    for part in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
        if part is not None:
            yield from _labelled(part)
