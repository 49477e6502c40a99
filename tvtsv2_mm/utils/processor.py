"""The processor of this machine."""

import platform
import re
from contextlib import suppress
from pathlib import Path


def processor() -> tuple[str, str]:
    """Vendor of the CPU as Linux tells it, and its name.

    With family and model where they are told: clouds give one name to several generations.
    """
    told: dict[str, str] = {}
    with suppress(OSError):
        told = dict(re.findall(r'^(?:cpu )?(vendor_id|family|model name|model)\s*: (.*)',
                               Path('/proc/cpuinfo').read_text(), re.MULTILINE))
    vendor = told.pop('vendor_id', '')
    name = told.pop('model name', platform.processor() or platform.machine())
    return vendor, ' '.join([name, *(f'{key} {value}' for key, value in told.items())])
