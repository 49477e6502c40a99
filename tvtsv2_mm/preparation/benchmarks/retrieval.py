"""Retrieval benchmarks, from MSR-VTT to ActivityNet: the official files to samples with captions.

Each reader makes a split of the test. Training captions become ``train.jsonl``, the query bank of
QB-Norm, for which their videos need not be there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tvtsv2_mm.preparation.benchmarks.files import (
    first_names,
    read_json,
    read_json_list,
    read_records,
)
from tvtsv2_mm.preparation.benchmarks.preparation import Sample, Split
from tvtsv2_mm.utils.errors import UserFileError, one_error
from tvtsv2_mm.utils.text_files import read_csv, read_lines, read_names

MSRVTT_COUNT = 1000
# Of the split "train", and of the lists of training videos that go with 1k-A.
MSRVTT_TRAIN_COUNT = 6513
MSRVTT_LIST_COUNTS = (9000, 7010)
LSMDC_COUNT = 1000
MSVD_COUNTS = {'test': 670, 'train': 1200}
VATEX_COUNTS = {'test': 1500, 'train': 25991}  # of HGR's split
ACTIVITYNET_COUNTS = {'test': 4917, 'train': 10009}  # val_1.json, train.json

# Videos of test_data.json, val_data.json and train_data.json. Lists of 1003 are in use for the test
# too.
DIDEMO_COUNTS = {'test': (1004, 1003), 'val': (1065, ), 'train': (8395, )}


def read_msrvtt(path: str | Path, *, train: Sequence[str | Path] = (),
                train_list: str | Path | None = None) -> list[Split]:
    """Read the csv of the 1k-A test (columns ``video_id`` and ``sentence``): a sentence a video.

    Args:
        path: The csv file.
        train: The official json files (``videos`` and ``sentences``), for training captions.
        train_list: csv with a column ``video_id``, the training videos; None takes the videos whose
            ``split`` is "train".

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column or key is missing, a row does not fit, a video of the list has no
            sentence, two json files have the same video, or there is a list but no json file.
    """
    samples = [_captioned(row['video_id'].strip(), [row['sentence']])
               for _, row in read_csv(path, columns=('video_id', 'sentence'))]
    splits = [Split(name='test.jsonl', samples=samples, official=(MSRVTT_COUNT, ))]
    if train:
        splits.append(_msrvtt_train(train, train_list))
    elif train_list is not None:
        raise ValueError(f'{train_list} names training videos; their sentences are in the official '
                         'json file, which is missing here: give --train')
    return splits


def _msrvtt_train(files: Sequence[str | Path], listed: str | Path | None) -> Split:
    captions: dict[str, list[str]] = {}
    names = []
    for file in files:
        content = read_json(file)
        videos = read_records(content, file, 'videos', keys=('video_id', 'split'))
        names += [video['video_id'] for video in videos if video['split'] == 'train']
        in_file: dict[str, list[str]] = {}
        for record in read_records(content, file, 'sentences', keys=('video_id', 'caption')):
            in_file.setdefault(record['video_id'], []).append(record['caption'])
        # People do describe a video in the same words, but each file gives all of its sentences.
        shared = [name for name in in_file if name in captions]
        if shared:
            raise UserFileError(f'{file}: the sentences of {len(shared)} videos, '
                                f'{first_names(shared)}, are in an earlier file of '
                                f'{", ".join(map(str, files))} already; MSRVTT_data.json holds the '
                                'others')
        captions |= in_file
    if listed is not None:
        names = [row['video_id'].strip() for _, row in read_csv(listed, columns=('video_id', ))]
    without = [name for name in names if name not in captions]
    if without:
        raise ValueError(
            f'{", ".join(map(str, files))}: no sentence of {len(without)} training videos, '
            f'{first_names(without)}; is test_videodatainfo.json needed too?')
    return Split(
        name='train.jsonl', samples=[_captioned(name, captions[name]) for name in names],
        official=(MSRVTT_TRAIN_COUNT, ) if listed is None else MSRVTT_LIST_COUNTS,
        captions_only=True)


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
    return [Split(name=f'{part}.jsonl', samples=samples, official=DIDEMO_COUNTS[part],
                  captions_only=part == 'train')]


def read_lsmdc(path: str | Path, *, train: str | Path | None = None) -> list[Split]:
    """Read ``LSMDC16_challenge_1000_publictect.csv``: six fields between tabs, no header.

    The fields are the clip, start and end twice (as aligned and as cut), and the sentence.

    Args:
        path: The list of the test.
        train: ``LSMDC16_annos_training.csv``, of the same fields, for training captions.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line has another number of fields.
    """
    test = [_lsmdc_clip(clip, [sentence]) for clip, sentence in _read_lsmdc_lines(path)]
    splits = [Split(name='test.jsonl', samples=test, official=(LSMDC_COUNT, ))]
    if train is not None:
        captions: dict[str, list[str]] = {}
        for clip, sentence in _read_lsmdc_lines(train):
            captions.setdefault(clip, []).append(sentence)
        splits.append(Split(name='train.jsonl', captions_only=True, samples=[
            _lsmdc_clip(clip, sentences) for clip, sentences in captions.items()]))
    return splits


def _read_lsmdc_lines(path: str | Path) -> Iterator[tuple[str, str]]:
    """Pairs of clip and sentence."""
    for number, (where, line) in enumerate(read_lines(path)):
        fields = [text.strip() for text in line.split('\t')]
        if len(fields) != 6:
            raise UserFileError(f'{where}: six fields between tabs are needed (clip, four times, '
                                f'sentence), found {len(fields)}')
        if number == 0 and not any(character.isdecimal() for character in fields[0]):
            continue  # Some copies have a header. A clip's name always holds its times.
        yield fields[0], fields[5]


def _lsmdc_clip(clip: str, sentences: Sequence[str]) -> Sample:
    return _captioned(clip, sentences, folder=clip.rpartition('_')[0])


def read_msvd(path: str | Path, test_list: str | Path, *,
              train_list: str | Path | None = None) -> list[Split]:
    """Read ``AllVideoDescriptions.txt``: a clip and a sentence about it in each line.

    Lines that begin with "#" are remarks. A clip has about 40 sentences.

    Args:
        path: The descriptions.
        test_list: ``test_list.txt``, the names of the clips of the test, one a line.
        train_list: ``train_list.txt``, for training captions.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line has no sentence, or a clip of a list has none.
    """
    captions: dict[str, list[str]] = {}
    for where, line in read_lines(path):
        clip, _, sentence = line.partition(' ')
        if not clip.startswith('#'):
            if not sentence.strip():
                raise UserFileError(f'{where}: a clip and a sentence are needed, found {line!r}')
            captions.setdefault(clip, []).append(sentence)
    lists = {'test': test_list, 'train': train_list}
    return [_listed(part, read_names(file), captions, path, MSVD_COUNTS)
            for part, file in lists.items() if file is not None]


def read_vatex(path: str | Path, test_list: str | Path, *,
               train: str | Path | None = None) -> list[Split]:
    """Read VATEX's json: of each clip ``videoID`` and ten English sentences, ``enCap``.

    Args:
        path: ``vatex_validation_v1.0.json``, half of which the usual test is.
        test_list: Names of the clips of the test: HGR's ``tst_names.npy``, or a text file with one
            a line.
        train: ``vatex_training_v1.0.json``, for training captions.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A record or the list does not fit, or a clip of the list has no sentences.
    """
    captions = _vatex_captions(path)
    names = read_names(test_list) if Path(test_list).suffix != '.npy' else _read_npy(test_list)
    splits = [_listed('test', names, captions, path, VATEX_COUNTS)]
    if train is not None:
        captions = _vatex_captions(train)
        splits.append(_listed('train', list(captions), captions, train, VATEX_COUNTS))
    return splits


def _vatex_captions(path: str | Path) -> dict[str, list[str]]:
    captions = {}
    for number, record in enumerate(read_json_list(path, keys=('videoID', ))):
        texts = record.get('enCap')
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UserFileError(
                f'{path}: record {number}, {record["videoID"]:.100}, must have enCap, '
                'a list of texts')
        captions[record['videoID']] = texts
    return captions


def _read_npy(path: str | Path) -> list[str]:
    with one_error(f'{path} is to be an array of names, without Python objects (or give a text '
                   'file, one name a line)'):
        # Mapped: what its header says is compared with its size before memory is taken.
        return [str(name) for name in np.load(path, mmap_mode='r', allow_pickle=False)]


def read_activitynet(path: str | Path, *, train: str | Path | None = None) -> list[Split]:
    """Read ``val_1.json`` of ActivityNet Captions: the sentences of a video as one paragraph.

    Args:
        path: An object with a record under the name of each video (``v_...``), with ``sentences``.
        train: ``train.json``, for training captions.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A record does not fit.
    """
    splits = []
    for part, file in (('test', path), ('train', train)):
        if file is None:
            continue
        content = read_json(file)
        if not isinstance(content, dict):
            raise UserFileError(f'{file}: an object is needed, with a record of each video')
        paragraphs = {}
        for video, record in content.items():
            texts = record.get('sentences') if isinstance(record, dict) else None
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise UserFileError(f'{file}: {video:.100} must have sentences, a list of texts')
            paragraphs[video] = [' '.join(text.strip() for text in texts)]
        splits.append(_listed(part, list(paragraphs), paragraphs, file, ACTIVITYNET_COUNTS))
    return splits


def _listed(part: str, names: Sequence[str], captions: dict[str, list[str]], path: str | Path,
            counts: dict[str, int]) -> Split:
    """A split of the clips of a list, whose captions are in a file."""
    without = [name for name in names if name not in captions]
    if without:
        raise UserFileError(
            f'{path}: no sentence of {len(without)} clips of the list of the {part}, '
            f'{first_names(without)}')
    return Split(name=f'{part}.jsonl', samples=[
        _captioned(name, captions[name]) for name in names], official=(counts[part], ),
        captions_only=part == 'train')


def _captioned(name: str, captions: Sequence[str], folder: str | None = None) -> Sample:
    return Sample(name=name, stems=(name, ), folder=folder,
                  annotation={'captions': [caption.strip() for caption in captions]})
