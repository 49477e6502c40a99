"""WebVid's csv to the caption format."""

import os
import posixpath
import re
from functools import partial
from pathlib import Path
from typing import Any

from tvtsv2_mm.datasets.annotations import check_caption
from tvtsv2_mm.preparation.converters import report
from tvtsv2_mm.preparation.converters.report import ConversionReport, DropRecord
from tvtsv2_mm.preparation.options import WEBVID_LAYOUT
from tvtsv2_mm.utils.text_files import read_csv

_ISO_DURATION = re.compile(r'PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?')


def convert_webvid(source: str | Path, output: str | Path, *, videos: str | Path | None = None,
                   layout: str = WEBVID_LAYOUT) -> ConversionReport:
    """Convert a WebVid csv (columns ``videoid``, ``name``, ``page_dir``, ``duration``, ...).

    Args:
        source: The csv file.
        output: The annotation file.
        videos: Folder of the videos; rows without a file there are dropped. None takes all rows.
        layout: Path of a video below that folder, from the columns of its row.

    Raises:
        FileNotFoundError: If there is no such csv file or folder.
        ValueError: If the csv lacks a column, or a quote in it is not closed.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f'there is no csv file {source}')
    if videos is not None and not Path(videos).is_dir():
        raise FileNotFoundError(f'there is no folder {videos} (of the videos)')
    needed = {'name', *re.findall(r'{(\w+)}', layout)}
    rows = read_csv(source, columns=sorted(needed), allow_ragged=True,
                    hint='--layout says which columns make the path of a video')
    make = partial(_to_annotation, videos=videos, layout=layout)
    return report.convert(rows, make, output, check=check_caption,
                          source=report.fingerprint([source], layout, str(videos)))


def _to_annotation(row: dict[str | None, Any], videos: str | Path | None, layout: str) -> dict:
    """Make an annotation of one row."""
    if None in row:
        raise DropRecord('its row has another number of fields than the header')
    if not row['name'].strip():
        raise DropRecord('it has no caption')
    path = posixpath.normpath(layout.format_map(row))
    if path.startswith(('/', '../')):
        raise DropRecord('its path leaves the folder of the videos')
    if videos is not None and not os.path.isfile(Path(videos, path)):
        raise DropRecord('there is no video file of its name')
    annotation = {'path': path, 'captions': [row['name'].strip()]}
    duration = seconds_of(row.get('duration') or '')
    return annotation | ({} if duration is None else {'duration': duration})


def seconds_of(duration: str) -> float | None:
    """Seconds of an ISO 8601 duration; None if it is none.

    Examples:
        >>> seconds_of('PT00H01M17S')
        77.0
    """
    match = _ISO_DURATION.fullmatch(duration)
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds
