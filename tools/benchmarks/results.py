"""The one form of what the benchmarks measure.

``benchmarks/results/<what>_<hardware>_<date>.json`` holds

- ``what``, ``hardware``, ``date`` as in its name, the ``command`` and all its ``options``;
- ``machine``, with the load of 1, 5 and 15 minutes at the end, and ``versions``;
- ``rows``: flat; ``table`` says which of tables.yml show a row, the other fields are texts, or
  numbers whose unit is a word of their names and in ``units``;
- ``transcribed``: only of figures from before this form: the document in which they stood.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import torch
from tables import LAYOUTS, markdown

from tvtsv2_mm.evaluation.results import package_versions
from tvtsv2_mm.utils.files import write_atomically
from tvtsv2_mm.utils.processor import processor

UNITS = {
    'seconds': 's', 'ms': 'ms', 'mb': 'MB', 'gb': 'GB', 'clips': '1', 'blocks': '1', 'files': '1',
    'requests': '1', 'windows': '1', 'minutes': 'min', 'x': 'times the other',
    'speedup': 'times as fast as the other', 'share': '1', 'levels': '1/255', 'difference': '1',
    'minute': '1/min', 'gflop': 'GFLOP'}


def units(rows: Iterable[Mapping]) -> dict[str, str]:
    """Of all fields with numbers; a name without a word that tells is a ValueError."""
    result = {}
    for field in dict.fromkeys(key for row in rows for key in row if not isinstance(row[key], str)):
        result[field] = next((UNITS[word] for word in field.split('_') if word in UNITS), '')
        if not result[field]:
            raise ValueError(f'the name of {field} says no unit: {", ".join(UNITS)}')
    return result


def save(what: str, rows: Sequence[Mapping], args: argparse.Namespace) -> None:
    """Write a result, and print the tables that show it."""
    machine = dict(
        cpu=processor()[1], cores=os.cpu_count(), load=os.getloadavg(),
        threads=torch.get_num_threads(),
        float32_matmul_precision=torch.get_float32_matmul_precision())
    hardware = f'{machine["cpu"]} {machine["cores"]} cores'
    if getattr(args, 'device', 'cpu') == 'cuda':
        hardware = torch.cuda.get_device_name()
        machine.update(gpu=hardware, cuda=torch.version.cuda,
                       cudnn_tf32=torch.backends.cudnn.allow_tf32)
    hardware = '-'.join(re.findall('[a-z0-9]+', hardware.lower()))
    # With torch's build, which its metadata may not tell, and whichever package brings cv2.
    versions = package_versions() | {
        name: sys.modules[name].__version__ for name in ('torch', 'cv2') if name in sys.modules}
    result = dict(
        what=what, hardware=hardware, date=date.today().isoformat(),
        command=' '.join(['python', *sys.argv]), options=vars(args), machine=machine,
        versions=versions, units=units(rows), rows=rows)
    path = Path(args.out or f'benchmarks/results/{what}_{hardware}_{result["date"]}.json')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result, indent=1, default=str) + '\n').encode())
    for name in LAYOUTS:
        if table := markdown(name, rows):
            print(f'\n{name}\n\n{table}')
    print(f'\n{path}')


def show_progress(text: str) -> None:
    """Tell where a long measurement is."""
    print(text, file=sys.stderr, flush=True)
