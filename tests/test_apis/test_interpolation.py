from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import save_checkpoint

from tests.clip_models import make_model, randomize
from tests.test_engine.test_hooks.test_recognizer_weights_hook import MEAN, make_recognizer
from tvtsv2_mm.apis.interpolation import _description_of, _weights_of
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.engine.hooks import RecognizerWeightsHook


def test_recognizers(tmp_path):
    """Their weights come in by the hook, without which mmengine would only warn of what is not."""
    source = make_recognizer()
    randomize(source)
    runner = SimpleNamespace(model=make_recognizer(), _resume=False, hooks=[])
    for name, model in dict(whole=source, headless=make_model()).items():
        save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / f'{name}.pth'))
    with pytest.raises(ValueError, match=r'Recognizer3D .*add .*RecognizerWeightsHook'):
        _weights_of(runner, str(tmp_path / 'whole.pth'))
    runner.hooks = [RecognizerWeightsHook()]
    torch.testing.assert_close(_weights_of(runner, str(tmp_path / 'whole.pth')),
                               dict(source.state_dict()))
    assert _description_of(source).record()['data_preprocessor']['mean'] == pytest.approx(MEAN)
    with pytest.raises(CheckpointError, match=r'headless\.pth lacks weights .*cls_head'):
        _weights_of(runner, str(tmp_path / 'headless.pth'))
