from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import save_checkpoint

from tests.clip_models import make_model, randomize
from tests.test_engine.test_hooks.test_recognizer_weights_hook import MEAN, make_recognizer
from tvtsv2_mm.apis.interpolation import _both, _description_of, _weights_of, mix
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.engine.hooks import RecognizerWeightsHook


def test_recognizers(tmp_path):
    """Their weights come in by the hook, without which mmengine would only warn of what is not."""
    source = make_recognizer()
    randomize(source)
    runner = SimpleNamespace(model=make_recognizer(), _resume=False, hooks=[])
    save_checkpoint(dict(state_dict=source.state_dict()), str(tmp_path / 'whole.pth'))
    with pytest.raises(ValueError, match=r'Recognizer3D .*add .*RecognizerWeightsHook'):
        _weights_of(runner, str(tmp_path / 'whole.pth'))
    runner.hooks = [RecognizerWeightsHook()]
    weights, lacking = _weights_of(runner, str(tmp_path / 'whole.pth'))
    torch.testing.assert_close(weights, dict(source.state_dict()))
    assert not lacking
    assert _description_of(source).record()['data_preprocessor']['mean'] == pytest.approx(MEAN)


def test_a_part_that_one_lacks_is_the_others(tmp_path):
    """The text encoder of the start, and the head that was trained; half of one is an error."""
    start, trained = make_model(), make_recognizer()
    for name, model in dict(start=start, trained=trained).items():
        randomize(model)
        save_checkpoint(dict(state_dict=model.state_dict()), str(tmp_path / f'{name}.pth'))
    before, after = (str(tmp_path / f'{name}.pth') for name in ('start', 'trained'))

    def runner_of(model, *hooks):
        return SimpleNamespace(model=model, _resume=False, hooks=hooks)

    one, other, whole = _both(runner_of(make_model()), before, after)
    assert whole == dict(neck='before', sorting_head='before')
    middle = mix(one, other, 0.3)
    for name, value in start.neck.state_dict().items():
        assert middle[f'neck.{name}'].equal(value)
    torch.testing.assert_close(
        middle['backbone.proj'], 0.7 * start.backbone.proj + 0.3 * trained.backbone.proj)

    recognizer = runner_of(make_recognizer(), RecognizerWeightsHook())
    one, other, whole = _both(recognizer, before, after)
    assert whole == dict(cls_head='after')
    middle = mix(one, other, 0.3)
    assert middle['cls_head.fc_cls.weight'].equal(trained.cls_head.fc_cls.weight)
    torch.testing.assert_close(
        middle['backbone.proj'], 0.7 * start.backbone.proj + 0.3 * trained.backbone.proj)
    with pytest.raises(CheckpointError, match=r'neither .*start\.pth nor .*start\.pth .*cls_head'):
        _both(recognizer, before, before)

    left_out = next(name for name in start.state_dict() if name.startswith('neck.'))
    half = {name: value for name, value in start.state_dict().items() if name != left_out}
    save_checkpoint(dict(state_dict=half), str(tmp_path / 'half.pth'))
    with pytest.raises(CheckpointError, match=rf'half\.pth: .*\n.*\n  {left_out}'):
        _both(runner_of(make_model()), before, str(tmp_path / 'half.pth'))
