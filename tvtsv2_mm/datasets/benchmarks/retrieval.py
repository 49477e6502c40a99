"""MSR-VTT 1k-A, DiDeMo and LSMDC: the official annotation files to samples with a caption."""

from pathlib import Path

from tvtsv2_mm.datasets.benchmarks.files import read_csv, read_json_list, read_lines
from tvtsv2_mm.datasets.benchmarks.preparation import Sample, Split

MSRVTT_COUNT = 1000
LSMDC_COUNT = 1000

# Videos of test_data.json, val_data.json and train_data.json. Lists of 1003 are in use for the test
# too.
DIDEMO_COUNTS = {'test': (1004, 1003), 'val': (1065, ), 'train': (8395, )}


def read_msrvtt(path: str | Path) -> list[Split]:
    """Read the csv of the 1k-A test (columns ``video_id`` and ``sentence``): a sentence a video.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or a row does not fit.
    """
    samples = [_captioned(row['video_id'].strip(), row['sentence'])
               for _, row in read_csv(path, columns=('video_id', 'sentence'))]
    return [Split(name='test.jsonl', samples=samples, official=(MSRVTT_COUNT, ))]


def read_didemo(path: str | Path, part: str = 'test') -> list[Split]:
    """Read ``test_data.json``: all descriptions of a video are joined to one paragraph.

    Some videos are named with two endings (``x.mov`` and ``x.mp4``) or with none but the dot; they
    are told apart by the name before it. That gives the 1004 videos of the usual test, where the
    full names would give 1037.

    Args:
        path: The json file.
        part: 'test', 'val' or 'train'.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A record does not fit.
    """
    descriptions: dict[str, list[str]] = {}
    names: dict[str, set[str]] = {}
    for record in read_json_list(path, keys=('video', 'description')):
        stem = record['video'].rpartition('.')[0] or record['video']
        descriptions.setdefault(stem, []).append(record['description'].strip())
        names.setdefault(stem, set()).add(record['video'])
    samples = [
        # A file may have got a second ending: x.mov.mp4.
        Sample(name=stem, stems=(stem, *sorted(names[stem])),
               annotation={'captions': [' '.join(texts)]})
        for stem, texts in descriptions.items()
    ]
    return [Split(name=f'{part}.jsonl', samples=samples, official=DIDEMO_COUNTS[part])]


def read_lsmdc(path: str | Path) -> list[Split]:
    """Read ``LSMDC16_challenge_1000_publictect.csv``: six fields between tabs, no header.

    The fields are the clip, start and end twice (as aligned and as cut), and the sentence.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line has another number of fields.
    """
    samples = []
    for where, line in read_lines(path):
        fields = [text.strip() for text in line.split('\t')]
        if len(fields) != 6:
            raise ValueError(f'{where}: six fields between tabs are needed (clip, four times, '
                             f'sentence), found {len(fields)}')
        if not samples and not any(character.isdecimal() for character in fields[0]):
            continue  # Some copies have a header. A clip's name always holds its times.
        movie = fields[0].rpartition('_')[0]
        samples.append(_captioned(fields[0], fields[5], folder=movie))
    return [Split(name='test.jsonl', samples=samples, official=(LSMDC_COUNT, ))]


def _captioned(name: str, caption: str, folder: str = '') -> Sample:
    return Sample(name=name, stems=(name, ), folder=folder,
                  annotation={'captions': [caption.strip()]})
