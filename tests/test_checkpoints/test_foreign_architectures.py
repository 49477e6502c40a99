"""All of OpenCLIP's and transformers' CLIPs: the original's outputs, or refused by name."""

import json

import pytest

from tests.foreign_architectures import (
    EQUAL,
    RECORD,
    TRANSFORMERS,
    groups_of_open_clip,
    outcome,
    small_open_clip,
    write_open_clip,
    write_transformers,
)

KNOWN = json.loads(RECORD.read_text('utf-8'))


@pytest.mark.parametrize('names', groups_of_open_clip(), ids=lambda names: names[0])
def test_open_clip(tmp_path, names):
    """What the table of docs/bases.md says; ``python -m tests.foreign_architectures`` renews it."""
    found = outcome(write_open_clip(small_open_clip(names[0]), tmp_path), tmp_path)
    assert {KNOWN['open_clip'].get(name, found) for name in names} == {found}


@pytest.mark.parametrize('name', TRANSFORMERS)
def test_transformers(tmp_path, name):
    found = outcome(write_transformers(name, tmp_path), tmp_path)
    assert KNOWN['transformers'][name] == found


@pytest.mark.parametrize('change', [dict(quick_gelu=True), dict(text_cfg=dict(heads=4))])
def test_another_model_than_the_config_says_would_be_seen(tmp_path, change):
    config = small_open_clip('ViT-B-16')
    make = write_open_clip(config, tmp_path)
    other = config | change
    other['text_cfg'] = config['text_cfg'] | change.get('text_cfg', {})
    write_open_clip(other, tmp_path)
    with pytest.raises(AssertionError):
        outcome(make, tmp_path)


def test_what_is_supported():
    """Of each kind at least one, whatever else is refused."""
    assert {'ViT-B-16', 'ViT-H-14', 'PE-Core-B-16', 'PE-Core-L-14-336', 'ViT-B-16-SigLIP2',
            'ViT-SO400M-14-SigLIP2', 'ViT-B-16-SigLIP', 'ViT-L-14-worldwide'} <= {
                name for name, found in KNOWN['open_clip'].items() if found == EQUAL}
    assert KNOWN['transformers']['MetaClip2Model'] == KNOWN['transformers']['SiglipModel'] == EQUAL
