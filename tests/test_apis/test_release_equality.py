"""The smallest golden files of the authors' release; tools/check_release_equality.py runs any."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tvtsv2_mm.apis.release_equality import compare_with_release

GOLDEN = Path(__file__).parents[1] / 'data' / 'golden'


@pytest.mark.parametrize('name', ['b_mask50', 'b_short_t8', 'h_mask70'])
def test_equal_to_the_release(name):
    differences = list(compare_with_release(GOLDEN / f'{name}.safetensors'))
    assert len(differences) > 100
    assert [d for d in differences if not d.passed] == []


def test_a_difference_is_found(tmp_path):
    with safe_open(GOLDEN / 'b_short_t8.safetensors', 'pt') as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors['video_embeds'] = tensors['video_embeds'] + 1e-4
    tensors['grad/video_model.proj'] = tensors['grad/video_model.proj'] * torch.nan
    save_file(tensors, tmp_path / 'changed.safetensors', metadata)
    differences = compare_with_release(tmp_path / 'changed.safetensors')
    assert {d.quantity for d in differences if not d.passed} == {
        'video_embeds', 'grad/video_model.proj'}


def test_another_file(tmp_path):
    path = tmp_path / 'other.safetensors'
    with pytest.raises(FileNotFoundError):
        list(compare_with_release(path))
    path.write_bytes(b'no')
    with pytest.raises(ValueError, match='not a safetensors file'):
        list(compare_with_release(path))
    save_file({'a': torch.ones(1)}, path)
    with pytest.raises(ValueError, match='has not the golden layout'):
        list(compare_with_release(path))
