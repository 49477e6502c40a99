import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from tests.tiny_model import build_tiny_model, embed_clips, read_clip
from tvtsv2_mm.apis import export
from tvtsv2_mm.models.lora import add_lora
from tvtsv2_mm.utils.tokenizer import ClipTokenizer

TEXTS = ['a man speaks', 'x', 'a very long text ' * 20]


@pytest.fixture(scope='module')
def model():
    return build_tiny_model()


def test_towers_equal_the_model(model):
    clips = [read_clip('part_0.mp4'), read_clip('example.mp4')]
    pixels = torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3)
    towers = export.build_towers(model)
    with torch.no_grad():
        np.testing.assert_allclose(towers['video'](pixels), embed_clips(model, clips), atol=1e-6)
        tokens = ClipTokenizer(32)(TEXTS)
        expected = torch.cat([F.normalize(model.neck(row[None]), dim=-1) for row in tokens])
        np.testing.assert_allclose(towers['text'](tokens), expected, atol=1e-6)


@pytest.mark.filterwarnings('ignore::FutureWarning', 'ignore::DeprecationWarning')
@pytest.mark.parametrize('format', ['pt2', 'onnx'])
def test_files_take_any_batch(model, tmp_path, format):
    differences = export.export_towers(model, tmp_path / 'out', (format, ))
    assert [path.name for path in differences] == [f'video.{format}', f'text.{format}']
    assert all(difference < 1e-5 for difference in differences.values())

    tokens = ClipTokenizer(32)(TEXTS * 2)
    with torch.no_grad():
        expected = F.normalize(model.neck(tokens), dim=-1)
    path = tmp_path / 'out' / f'text.{format}'
    if format == 'onnx':
        session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        [found] = session.run(['embeds'], {'tokens': tokens.numpy()})
    else:
        found = torch.export.load(path).module()(tokens).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_file_that_differs_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, '_load_pt2', lambda path: lambda inputs: torch.zeros(64))
    with pytest.raises(RuntimeError, match='do not use it'):
        export.export_towers(model, tmp_path, ('pt2', ))
    with pytest.raises(ValueError, match='formats'):
        export.export_towers(model, tmp_path, ('tflite', ))


def test_adapters_are_merged_first(tmp_path):
    """As tools/export.py and the inferencer do by themselves."""
    model = build_tiny_model()
    add_lora(model.backbone, rank=2)
    with pytest.raises(ValueError, match='leave lora out of its config'):
        export.export_towers(model, tmp_path, ('pt2', ))
