import io
import json
import tarfile

import pytest


@pytest.fixture
def write_shards(tmp_path):
    """Write shards of captions with the given numbers of samples; returns the path of the index."""

    def write(*counts, name='corpus', kind='captions'):
        folder = tmp_path / name
        folder.mkdir()
        number = 0
        for shard, count in enumerate(counts):
            with tarfile.open(folder / f'{shard}.tar', 'w') as tar:
                for _ in range(count):
                    record = dict(path=f'{number}.mp4', captions=[f'{name} {number}'])
                    for ending, value in (('mp4', b'x' * number),
                                          ('json', json.dumps(record).encode())):
                        info = tarfile.TarInfo(f'{number:04d}.{ending}')
                        info.size = len(value)
                        tar.addfile(info, io.BytesIO(value))
                    number += 1
        index = folder / 'index.json'
        index.write_text(json.dumps(dict(kind=kind, shards=[
            dict(name=f'{shard}.tar', samples=count) for shard, count in enumerate(counts)])))
        return str(index)

    return write
