"""What a file is that should be a checkpoint, told by its first bytes and not by its name."""

import json
import re
from pathlib import Path

from .errors import UNREADABLE, CheckpointError
from .outline import ZIP_START

# The weights of a folder from the hub, the first that is there.
FOLDER_FILES = ('model.safetensors', 'model.safetensors.index.json', 'open_clip_model.safetensors',
                'pytorch_model.bin', 'pytorch_model.bin.index.json', 'open_clip_pytorch_model.bin')

LFS_START = b'version https://git-lfs'
# More than a model's names take.
_MAX_HEADER = 10 * 2**20
_UNPACK = 'unpack it, and give the file of weights in it'
_STARTS = (
    (b'\x1f\x8b', f'a gzip archive: {_UNPACK}'),
    (b'BZh', f'a bzip2 archive: {_UNPACK}'),
    (b'\xfd7zXZ\0', f'an xz archive: {_UNPACK}'),
    (b'\x28\xb5\x2f\xfd', f'a zstd archive: {_UNPACK}'),
    (b'7z\xbc\xaf\x27\x1c', f'a 7z archive: {_UNPACK}'),
    (b'Rar!', f'a rar archive: {_UNPACK}'),
    (b'\x89HDF\r\n\x1a\n', 'an HDF5 file (Keras, TensorFlow): take the weights for PyTorch'),
    (b'\x93NUMPY', 'an array of NumPy: take the weights for PyTorch'),
    (b'GGUF', 'a GGUF file (llama.cpp): take the weights for PyTorch'),
    (b'\x08', 'a file of ONNX or TensorFlow: take the weights for PyTorch'),
    (b'%PDF', 'a PDF document'),
)


def check_kind(path: Path) -> str:
    """Tell the kind of a file of weights.

    Returns:
        'torch', 'safetensors' or 'json'.

    Raises:
        CheckpointError: it is none of them; says what it is, and what to do.
    """
    size = path.stat().st_size
    with path.open('rb') as file:
        start = file.read(512)
    header = int.from_bytes(start[:8], 'little')
    if start.startswith(ZIP_START):
        return 'torch'
    if start[8:9] == b'{' and header <= _MAX_HEADER:
        need = _size_of_safetensors(path, header)
        if need <= size:
            return 'safetensors'
        found = f'cut short ({size} of {need} bytes): copy or download it again'
    elif start[:1] == b'\x80' and start[1:2] in b'\1\2\3\4\5':
        return 'torch'
    elif start.lstrip()[:1] == b'{' and path.suffix == '.json':
        return 'json'
    else:
        found = _foreign(start, size)
    raise CheckpointError(f'{path}{UNREADABLE}: it is {found}')


def _foreign(start: bytes, size: int) -> str:
    text = start.lstrip(b'\xef\xbb\xbf \t\r\n')
    if not size:
        return 'empty (0 bytes): copy or download it again'
    if text.startswith(LFS_START):
        found = re.search(rb'size (\d+)', text)
        of = f' to a file of {int(found[1]) / 1e6:.1f} MB' if found else ''
        return (f'a pointer of git-lfs{of}, not the file itself: run "git lfs pull" in its '
                'repository, or download the file')
    if text[:1] == b'<':
        return (f'a web page of {size} bytes, as sites answer instead of a file (log-in, virus '
                'scan warning, error): download the file itself')
    if start[257:262] == b'ustar':
        return f'a tar archive: {_UNPACK}'
    for begin, kind in _STARTS:
        if start.startswith(begin):
            return kind
    if not start.strip(b'\0'):
        return f'{size} bytes that begin with zeros, as of a download that was broken off'
    if all(byte >= 32 or byte in b'\t\r\n' for byte in start):
        shown = start[:60].decode('utf-8', 'replace').split('\n')[0]
        return f'a text of {size} bytes that begins with {shown!r}: download the file itself'
    return ('of no known kind (known are files of torch.save, TorchScript archives and '
            'safetensors), or damaged')


def _size_of_safetensors(path: Path, header: int) -> int:
    """The size that a file declares; 0 for a damaged header, of which the library says more."""
    with path.open('rb') as file:
        file.seek(8)
        text = file.read(header)
    if len(text) < header:
        return 8 + header
    try:
        return 8 + header + max(entry['data_offsets'][1] for name, entry in json.loads(text).items()
                                if name != '__metadata__')
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return 0
