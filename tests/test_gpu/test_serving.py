"""What a user calls gives on the device what it gives on a CPU: from arrays, without a decoder."""

import numpy as np
import pytest
import torch
from torch.export.passes import move_to_device_pass

from tests.tiny_model import build_tiny_model, save_tiny_checkpoint
from tvtsv2_mm.apis.export import VideoTower, export_towers
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer

LABELS = ['a drawing', 'people in a room', 'a man speaks']
ORDER = [*LABELS, 'colours']
CLIPS = list(np.random.default_rng(0).integers(256, size=(3, 8, 64, 64, 3), dtype=np.uint8))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.mark.parametrize(('dtype', 'tolerance'), [
    ('float32', 1e-4), ('bfloat16', 0.1), ('float16', 0.03)])
def test_the_inferencer(device, checkpoint, dtype, tolerance):
    plain, on_device = (
        TVTSv2Inferencer(weights=checkpoint, device=where, dtype=own, show_progress=False)
        for where, own in (('cpu', 'float32'), (device, dtype)))
    assert {own.device.type for own in on_device.model.parameters()} == {device}

    def results(infer):
        yield np.stack([own['features'] for own in infer(CLIPS, batch_size=2)['predictions']])
        yield infer(CLIPS, task='retrieval', texts=LABELS)['similarity']
        yield np.stack([own['logits'] for own in infer(
            CLIPS, task='sort', transcripts=ORDER)['predictions']])
        labelled = infer(CLIPS, task='zero-shot', labels=LABELS, top_k=3)['predictions']
        yield np.array([sorted(own['scores']) for own in labelled])

    for found, expected in zip(results(on_device), results(plain), strict=True):
        assert found.dtype == expected.dtype
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error <= tolerance
        assert dtype == 'float32' or error > 0


def test_an_export_of_a_model_on_the_device(device, tmp_path):
    model = build_tiny_model().to(device)
    video = torch.from_numpy(np.stack(CLIPS)).permute(0, 1, 4, 2, 3)
    with torch.no_grad():
        expected = VideoTower(model)(video.to(device))
    # Each file is compared with the model by it, on a CPU.
    files = export_towers(model, tmp_path, ('pt2', ))
    assert sorted(file.name for file in files) == ['text.pt2', 'video.pt2']
    program = torch.export.load(tmp_path / 'video.pt2')
    torch.testing.assert_close(program.module()(video), expected.cpu(), atol=1e-4, rtol=0)
    # The file holds its device: it is moved as torch says.
    moved = move_to_device_pass(program, device).module()
    torch.testing.assert_close(moved(video.to(device)), expected, atol=1e-4, rtol=0)
