"""Benchmarks of order: videos that differ in the order of events, and texts that tell it.

Each video has the texts of its group as ``captions``, in one order for the whole group, and its own
as ``answer``: PairedMetric compares the videos that have the same candidates.
"""

from collections.abc import Sequence
from pathlib import Path

from tvtsv2_mm.preparation.benchmarks.files import first_names, read_json
from tvtsv2_mm.preparation.benchmarks.preparation import Sample, Split
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.text_files import read_csv

VINOGROUND_COUNT = 1000  # videos, of 500 pairs
CIA_COUNTS = {'ssv2': (1430, ), 'epic': (), 'charades': ()}  # of the validation sets; () unknown
RTIME_COUNT = 1000  # videos of the test, without the reversed ones


def read_vinoground(path: str | Path) -> list[Split]:
    """Read ``vinoground.csv``: a row for each pair, with the captions ``pos_cap`` and ``neg_cap``.

    The videos of the n-th row, from 0, are ``<n>_pos`` and ``<n>_neg``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or a row does not fit.
    """
    samples = []
    for number, (_, row) in enumerate(read_csv(path, columns=('pos_cap', 'neg_cap'))):
        texts = [row['pos_cap'].strip(), row['neg_cap'].strip()]
        samples += [_sample(f'{number}_{name}', texts, answer)
                    for answer, name in enumerate(('pos', 'neg'))]
    return [Split(name='test.jsonl', samples=samples, official=(VINOGROUND_COUNT, ))]


def read_cia(path: str | Path, part: str) -> list[Split]:
    """Read ``cia-<part>-validation.csv`` of Chirality in Action.

    A row is a video: its ``id``, the group of two opposite actions (``chiral_triplet_id``), which
    of the two it is (``chiral_label``, 0 or 1), and that action in words (``template``). Rows of
    the same video and action count once.

    Returns:
        Three splits of the same videos, with other candidates: the two actions of the group
        (``test``, "chiral"), one of each group, of the same label (``static``), and ``all``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, a row does not fit, an action has two wordings, or a group
            has not two.
    """
    texts: dict[tuple[str, int], str] = {}
    videos: dict[tuple[str, tuple[str, int]], None] = {}
    columns = ('id', 'chiral_triplet_id', 'chiral_label', 'template')
    for where, row in read_csv(path, columns=columns):
        video, group, label, text = (row[key].strip() for key in columns)
        if not (video and group and text) or label not in ('0', '1', '0.0', '1.0'):
            raise UserFileError(f'{where}: {", ".join(columns)} must be texts and 0 or 1, found '
                                f'{[video, group, label, text]!r:.300}')
        action = group, int(float(label))
        if texts.setdefault(action, text) != text:
            raise UserFileError(f'{where}: {text!r:.200} is the action {action!r:.200} here, which '
                                f'was {texts[action]!r:.200} before')
        videos[video, action] = None
    alone = [group for group, label in texts if (group, 1 - label) not in texts]
    if alone:
        raise UserFileError(f'{path}: {len(alone)} groups, {first_names(alone)}, have one action '
                            'instead of two')
    galleries = {'test': lambda own, other: own[0] == other[0],
                 'static': lambda own, other: own[1] == other[1],
                 'all': lambda own, other: True}
    splits = []
    for name, is_candidate in galleries.items():
        candidates = {own: [other for other in sorted(texts) if is_candidate(own, other)]
                      for own in texts}
        splits.append(Split(name=f'{name}.jsonl', official=CIA_COUNTS[part], samples=[
            _sample(video, [texts[other] for other in candidates[own]], candidates[own].index(own))
            for video, own in videos]))
    return splits


def read_test_of_time(path: str | Path) -> list[Split]:
    """Read ``test_v2.0.csv`` of the synthetic test of Test of Time.

    A row is a video (``video_id``) and a ``sentence``, "X before Y" or "X after Y". The other
    candidate has X and Y exchanged. Letters are made small, as the authors do.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or a sentence is none of the two.
    """
    samples = []
    for where, row in read_csv(path, columns=('video_id', 'sentence')):
        text = ' '.join(row['sentence'].lower().split())
        parts = [text.split(f' {word} ') for word in ('before', 'after')]
        word = next((word for word, own in zip(('before', 'after'), parts, strict=True)
                     if len(own) == 2), None)
        if word is None or sum(map(len, parts)) != 3:
            raise UserFileError(f'{where}: expected "X before Y" or "X after Y", found '
                                f'{text!r:.200}')
        texts = sorted((text, f' {word} '.join(reversed(text.split(f' {word} ')))))
        samples.append(_sample(row['video_id'].strip().removesuffix('.mp4'), texts,
                               texts.index(text)))
    return [Split(name='test.jsonl', samples=samples)]


def read_rtime(path: str | Path) -> list[Split]:
    """Read ``test.json`` of Reversed in Time: an object with a record under the id of each video.

    A record has a caption of the video and one of the video played backwards, each the first of
    ``forward_captions`` and ``reverse_captions``; captions rewritten by a model are not read. The
    reversed video of ``<id>`` is ``<id>-reverse``.

    Returns:
        Three splits: RTime-Binary (``test``: each video with both captions), RTime-Hard (``hard``,
        both videos with the own caption alone), and RTime-Origin (``origin``, without reversed
        videos).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A record does not fit.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserFileError(
            f'{path}: an object is needed, with a record under the id of each video')
    binary, hard, origin = [], [], []
    for video, record in content.items():
        try:
            texts = [record[key][0] for key in ('forward_captions', 'reverse_captions')]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
        except (TypeError, KeyError, IndexError):
            raise UserFileError(
                f'{path}: {video:.200} needs forward_captions and reverse_captions, '
                'each a list of texts') from None
        for answer, name in enumerate((video, f'{video}-reverse')):
            binary.append(_sample(name, texts, answer))
            hard.append(Sample(name=name, stems=(name, ),
                               annotation={'captions': [texts[answer]]}))
        origin.append(hard[-2])
    return [Split(name=f'{name}.jsonl', samples=samples, official=(count, ))
            for name, samples, count in (
                ('test', binary, 2 * RTIME_COUNT), ('hard', hard, 2 * RTIME_COUNT),
                ('origin', origin, RTIME_COUNT))]


def _sample(name: str, texts: Sequence[str], answer: int) -> Sample:
    return Sample(name=name, stems=(name, ),
                  annotation={'captions': list(texts), 'answer': answer})
