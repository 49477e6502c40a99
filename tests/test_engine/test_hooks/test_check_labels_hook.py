import logging
from types import SimpleNamespace

import pytest
from mmengine.dataset import RepeatDataset
from torch.utils.data import ConcatDataset

from tvtsv2_mm.datasets import LabeledVideoDataset
from tvtsv2_mm.datasets.annotations import AnnotationError
from tvtsv2_mm.engine.hooks import CheckLabelsHook


@pytest.fixture
def dataset(tmp_path):
    def make(name, text):
        (tmp_path / name).write_text(text)
        return LabeledVideoDataset(str(tmp_path / name))

    return make


def runner_of(train, val=None, num_classes=3):
    return SimpleNamespace(
        model=SimpleNamespace(cls_head=SimpleNamespace(num_classes=num_classes)), cfg={},
        logger=logging.getLogger('test'), val_loop=val,
        train_dataloader=SimpleNamespace(dataset=train),
        val_dataloader=SimpleNamespace(dataset=val))


def test_repeated_and_joined_data_sets_are_looked_into(dataset):
    joined = ConcatDataset([
        dataset('a.txt', 'a.mp4 2'), RepeatDataset(dataset('b.txt', 'b.mp4 0\nc.mp4 3'), times=2)])
    with pytest.raises(AnnotationError, match=r'b\.txt, line 2: label 3 does not fit 3 classes'):
        CheckLabelsHook().before_train(runner_of(joined))
    CheckLabelsHook().before_train(runner_of(joined, num_classes=4))


def test_videos_in_training_and_validation_are_told(dataset, caplog):
    train, val = dataset('a.txt', 'a.mp4 2\nb.mp4 1'), dataset('b.txt', './b.mp4 1\nc.mp4 0')
    CheckLabelsHook().before_train(runner_of(train, val))
    [record] = caplog.records
    assert '1 videos are trained on and validated on, such as b.mp4' in record.message


def test_validations_within_a_training_read_no_list_again(dataset):
    hook, runner = CheckLabelsHook(), runner_of(dataset('a.txt', 'a.mp4 2'))
    hook.before_train(runner)
    runner.val_dataloader.dataset = dataset('b.txt', 'b.mp4 3')
    hook.before_val(runner)
    with pytest.raises(AnnotationError, match='label 3'):
        CheckLabelsHook().before_val(runner)
