"""Changes files as an attacker or a broken disk would; which ones is decided by a number alone.

What is inside a container (zip, tar, gzip, safetensors) is changed inside, and the container made
anew around it with sizes and checksums that fit: a parser would stop at those else. JSON is changed
by its values, other text by its fields, all else by its bytes; of each some by the bytes too.
"""

import gzip
import io
import json
import re
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any

_LONG = 300_000  # characters of what is very long
_DEEP = 100_000  # brackets that recursion ends over
_INTEGERS = (0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40,
             2**63 - 1, 2**63, 2**64 - 1)
_NUMBERS = ('0', '-0', '-1', '1', '0.5', '1e-320', '1e308', '1e999', '-1e999', 'NaN', 'Infinity',
            '9' * 400, '9' * 5000, '2147483648', '9223372036854775808', '18446744073709551616',
            '1_0', '0x10', '٣', '²')
_TEXTS = ('', ' ', '\t', '\n', '\r', '\0', '"', '\\', ',', ';', '-->', '../..', '/etc/passwd',
          'a/../../b', '..', '.', '~', '{}', '{0.__class__}', '%s%n', 'pipe:touch x', '\u202e',
          'http://127.0.0.1:1/', 'file:///etc/passwd', '$(touch x)', '\ufeff', '\u2028', 'é' * 300,
          'x' * _LONG, '__reduce__', 'os', 'posix', 'system', 'builtins', 'eval', 'numpy.ndarray',
          '00:00:00,000 --> 99:99:99,999', 'NOTE', 'WEBVTT', 'path', 'label', 'true', 'null')
_VALUES = ('null', 'true', 'false', '[]', '{}', '""', '"x"', '[[]]', '[null]', '{"": null}',
           '"\\ud800"', '"\\u0000"', '[' * _DEEP, '[' * 900 + ']' * 900,
           '{"a":' * 900 + '1' + '}' * 900, *_NUMBERS[:15])
_PICKLED = (b'cos\nsystem\n(S"touch hostile"\ntR.', b'cposix\nsystem\n',
            b'\x8c\x02os\x8c\x06system\x93', b'cbuiltins\neval\n(S"1"\ntR.',
            b'ctorch._utils\n_rebuild_tensor_v2\n', b'cnumpy\nndarray\n', b'\x80\x04',
            b'\x80\xff', b'(', b't', b'R', b'b', b'.', b'N', b'0', b'2', b'\x85', b'\x93', b'Q',
            b'j\xff\xff\xff\x7f', b'r\xff\xff\xff\x7f', b'X\xff\xff\xff\x7f',
            b'\x8e' + b'\xff' * 7, b'\x8a\xff' + b'\xff' * 255,
            b'cbuiltins\nbytearray\n(I2000000000\ntR')


def mutate(files: Mapping[str, bytes], rng: Random) -> dict[str, bytes | None]:
    """Change some of the files of a seed; None takes one away."""
    names = sorted(files)
    changed: dict[str, bytes | None] = {}
    for _ in range(1 if rng.random() < .8 else 2):
        name = rng.choice(names)
        kind = rng.random()
        if len(names) > 1 and kind < .02:
            changed[name] = None
        elif len(names) > 1 and kind < .04:
            changed[name] = files[rng.choice(names)]
        else:
            changed[name] = _change(files[name], rng)
    return changed


def _change(content: bytes, rng: Random) -> bytes:
    for number in range(rng.choice((1, 1, 1, 2, 3))):
        if number and len(content) > 4 * _LONG:
            break  # it has become long enough
        within = next((change for start, change in _CONTAINERS.items()
                       if content.startswith(start)), None)
        if content[257:262] == b'ustar':
            within = _in_tar
        elif content[8:9] == b'{' and struct.unpack('<Q', content[:8])[0] < len(content):
            within = _in_safetensors
        if within is not None and rng.random() < .7:
            with suppress(Exception):  # what an earlier change has broken is changed by its bytes
                content = within(content, rng)
                continue
        text = _text_of(content)
        if text is None or rng.random() < .1:
            content = _bytes(content, rng)
        elif text.lstrip()[:1] in ('{', '[') and rng.random() < .8:
            with suppress(RecursionError):  # an earlier change has nested it that deep
                content = _json(text, rng).encode('utf-8', 'surrogatepass')
        else:
            content = _fields(text, rng).encode('utf-8', 'surrogatepass')
    return content


def _text_of(content: bytes) -> str | None:
    with suppress(UnicodeDecodeError):
        if b'\0' not in content[:1000]:
            return content.decode()
    return None


def _place(length: int, rng: Random) -> int:
    """Somewhere; every second time near the start or the end, where headers and tables are."""
    near = int(2 ** (rng.random() * 12))
    anywhere = rng.randrange(max(length, 1))
    return min(max(length - 1, 0), rng.choice((anywhere, anywhere, near, max(length - near, 0))))


def _bytes(content: bytes, rng: Random) -> bytes:
    data = bytearray(content)
    at, kind = _place(len(data), rng), rng.randrange(10)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:  # bits
        for _ in range(rng.choice((1, 1, 4, 64))):
            if data:
                data[_place(len(data), rng)] ^= 1 << rng.randrange(8)
    elif kind in (2, 3):  # a length field: any number of 1 to 8 bytes
        size = rng.choice((1, 2, 4, 4, 8))
        value = rng.choice((*_INTEGERS, len(data), rng.getrandbits(64))) % 2**(8 * size)
        data[at:at + size] = value.to_bytes(size, rng.choice(('big', 'little')))
    elif kind in (4, 5):  # beside a name of four letters, as boxes of mp4 and chunks of AVI have
        names = [found.start() for found in re.finditer(
            rb'[a-zA-Z][a-zA-Z0-9 ]{3}', content[:200_000])]
        if names:
            at = rng.choice(names) + rng.choice((-4, 4, 8, 12, 16, 20, 24))
            value = rng.choice((*_INTEGERS, rng.getrandbits(32))) % 2**32
            data[max(at, 0):max(at, 0) + 4] = value.to_bytes(4, rng.choice(('big', 'little')))
    elif kind == 6:  # a part once more, elsewhere
        size = rng.choice((4, 32, 1000, 20_000))
        start = _place(len(data), rng)
        data[at:at + rng.choice((0, size))] = data[start:start + size]
    elif kind == 7:
        del data[at:at + rng.choice((1, 4, 50, 5000))]
    elif kind == 8:
        data[at:at] = rng.choice((rng.randbytes(rng.choice((1, 8, 500))), b'\0' * 4096, *_PICKLED))
    else:
        data[at:at + 1] = rng.choice(_PICKLED) if rng.random() < .5 else rng.randbytes(1)
    return bytes(data)


def _fields(text: str, rng: Random) -> str:
    """Change a text by its lines, words and numbers."""
    kind = rng.randrange(8)
    lines = text.split('\n')
    at = rng.randrange(len(lines))
    if kind == 0:
        del lines[at]
    elif kind == 1:
        line = lines[rng.randrange(len(lines))]
        lines[at:at] = [line] * min(rng.choice((1, 1, 2000)), _LONG // (len(line) + 1) + 1)
    elif kind == 2:
        lines[at] = lines[at][:rng.randrange(len(lines[at]) + 1)]
    elif kind == 3:
        ends = rng.choice(('\r', '\r\n', '\n\n', '\0', ' '))
        return text.replace('\n', ends, rng.choice((1, -1)))
    else:
        found = [*re.finditer(r'[0-9.]+' if kind < 6 else r'[^\s,:;"\']+|[,:;"\'\t]', text)]
        if found:
            place = rng.choice(found)
            new = rng.choice(_NUMBERS if kind < 6 and rng.random() < .7 else _TEXTS)
            return text[:place.start()] + new + text[place.end():]
    return '\n'.join(lines)


def _json(text: str, rng: Random) -> str:
    """Change one value, key or place of a JSON text, or of one of its lines."""
    try:
        value, lines, line = json.loads(text), None, 0
    except ValueError:
        lines = text.split('\n')
        line = rng.choice([n for n, own in enumerate(lines) if own.strip()] or [0])
        try:
            value = json.loads(lines[line])
        except (ValueError, RecursionError):
            return _fields(text, rng)
    except RecursionError:
        return _fields(text, rng)
    raw: list[str] = []

    def hostile() -> str:
        raw.append(rng.choice(_VALUES) if rng.random() < .7 else json.dumps(rng.choice(_TEXTS)))
        return f'@raw{len(raw) - 1}@'

    places: list[tuple[Any, Any]] = []
    _collect(value, places)
    if not places:
        value = hostile()
    else:
        # Values deep inside are many: every second time a place near the top.
        holder, key = places[int(len(places) * rng.random() ** rng.choice((1, 3)))]
        kind = rng.randrange(10)
        if kind < 5:
            holder[key] = hostile()
        elif kind == 5:
            del holder[key]
        elif kind == 6 and isinstance(holder, dict):
            holder[rng.choice((*_TEXTS[:30], '__class__', hostile()))] = holder.pop(key)
        elif kind == 7:
            holder[key] = rng.choice(([holder[key]], {'a': holder[key]}, str(holder[key])))
        elif kind == 8 and isinstance(holder, list):
            most = _LONG // len(json.dumps(holder[key])) + 1
            holder.extend([holder[key]] * min(rng.choice((1, 2, 3000)), most))
        else:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
    changed = json.dumps(value, ensure_ascii=rng.random() < .5)
    changed = re.sub(r'"@raw(\d+)@"', lambda found: raw[int(found[1])], changed)
    if lines is None:
        return changed
    lines[line] = changed
    return '\n'.join(lines)


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    """All places of a value, breadth first."""
    waiting = [value]
    while waiting and len(places) < 20_000:
        holder = waiting.pop(0)
        keys = range(len(holder)) if isinstance(holder, list) else holder
        if isinstance(holder, list | dict):
            places += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]


def _in_zip(content: bytes, rng: Random) -> bytes:
    target, kind = io.BytesIO(), rng.randrange(8)
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(target, 'w') as changed:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
        own = rng.choice(sorted(members))
        own = next((name for name in members if name.endswith('data.pkl') and kind < 5), own)
        for name, data in members.items():
            if name == own and kind == 5:
                continue
            info = zipfile.ZipInfo(name)
            if name == own and kind == 6:
                info.filename = rng.choice(_TEXTS[1:30])
                info.compress_type = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            changed.writestr(info, _change(data, rng) if name == own and kind < 5 else data)
            if name == own and kind == 7:
                changed.writestr(name + rng.choice(('', '/', '.pkl')), data)
    return target.getvalue()


def _in_tar(content: bytes, rng: Random) -> bytes:
    target, kind = io.BytesIO(), rng.randrange(6)
    with (tarfile.open(fileobj=io.BytesIO(content)) as archive,
          tarfile.open(fileobj=target, mode='w', format=rng.choice((0, 1, 2))) as changed):
        members = archive.getmembers()
        own = rng.randrange(len(members))
        for number, member in enumerate(members):
            file = archive.extractfile(member)
            data = file.read() if file else b''
            if number == own:
                if kind < 3:
                    data = _change(data, rng)
                elif kind == 3:
                    member.name = rng.choice((*_TEXTS[1:30], members[0].name))
                elif kind == 4:
                    member.type = rng.choice((b'1', b'2', b'3', b'5', b'6', b'S', b'x', b'g', b'L'))
                    member.linkname = rng.choice(_TEXTS[:30])
                else:
                    continue
            member.size = len(data)
            changed.addfile(member, io.BytesIO(data))
    return target.getvalue()


def _in_gzip(content: bytes, rng: Random) -> bytes:
    return gzip.compress(_change(gzip.decompress(content), rng))


def _in_safetensors(content: bytes, rng: Random) -> bytes:
    size = struct.unpack('<Q', content[:8])[0]
    header = _json(content[8:8 + size].decode(), rng).encode('utf-8', 'surrogatepass')
    return struct.pack('<Q', len(header)) + header + content[8 + size:]


_CONTAINERS = {b'PK\x03\x04': _in_zip, b'\x1f\x8b': _in_gzip}
