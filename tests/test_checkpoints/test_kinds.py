"""Files that are no checkpoints, or not of the kind that their names say."""

import gzip
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from tvtsv2_mm.checkpoints import CheckpointError, read_state_dict

WEIGHTS = {'a': torch.arange(300.0), 'b.c': torch.ones(2, 2)}


@pytest.mark.parametrize(('content', 'message'), [
    (b'', r'empty \(0 bytes\)'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 605247071\n',
     r'git-lfs to a file of 605\.2 MB.*git lfs pull'),
    (b'\n<!DOCTYPE html><html>', 'a web page of 22 bytes'),
    (b'<?xml version="1.0"?><Error>', 'a web page'),
    (gzip.compress(b'x', mtime=0), 'a gzip archive: unpack it'),
    (b'\x89HDF\r\n\x1a\n', 'an HDF5 file'),
    (b'GGUF\3\0\0\0', 'a GGUF file'),
    (b'\x08\x08\x12\x07pytorch', 'ONNX'),
    (bytes(1000), '1000 bytes that begin with zeros'),
    (b'Not found', "a text of 9 bytes that begins with 'Not found'"),
    (b'\x9f\x00\xff', 'of no known kind'),
])
@pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
def test_one_line_says_what_it_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f'{name} cannot be read as a .*: it is .*{message}'):
        read_state_dict(tmp_path / name)


def test_archives_around_a_checkpoint(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'x.pth')
    with zipfile.ZipFile(tmp_path / 'zip.pth', 'w') as archive:
        archive.write(tmp_path / 'x.pth', 'x.pth')
    with tarfile.open(tmp_path / 'tar.pth', 'w') as archive:
        archive.add(tmp_path / 'x.pth', 'x.pth')
    with pytest.raises(CheckpointError, match=r'a zip archive.* It has x\.pth: unpack it'):
        read_state_dict(tmp_path / 'zip.pth')
    with pytest.raises(CheckpointError, match='a tar archive: unpack it'):
        read_state_dict(tmp_path / 'tar.pth')


def test_names_that_say_another_kind(tmp_path):
    save_file(WEIGHTS, tmp_path / 'x.bin')
    torch.save(WEIGHTS, tmp_path / 'x.safetensors')
    for name in ('x.bin', 'x.safetensors'):
        torch.testing.assert_close(read_state_dict(tmp_path / name), WEIGHTS)


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'safetensors'])
def test_a_cut_file_says_how_much_is_there(tmp_path, kind):
    path = tmp_path / 'x.pth'
    if kind == 'safetensors':
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=kind == 'zip')
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r'x\.pth .* it is cut short \(1000 of .* bytes'):
        read_state_dict(path)


def test_a_shard_that_is_a_pointer(tmp_path):
    (tmp_path / 'model.safetensors.index.json').write_text('{"weight_map": {"a": "1.safetensors"}}')
    (tmp_path / '1.safetensors').write_bytes(b'version https://git-lfs.github.com/spec/v1\n')
    with pytest.raises(CheckpointError, match=r'1\.safetensors .* a pointer of git-lfs'):
        read_state_dict(tmp_path)
