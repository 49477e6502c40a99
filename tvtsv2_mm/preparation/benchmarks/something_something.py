"""Something-Something v2: candidates of SSv2-MC, and retrieval by what many clips have in common.

The files of candidate sentences that are in use are checked against the official ones.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tvtsv2_mm.preparation.benchmarks.files import read_json, read_json_list
from tvtsv2_mm.preparation.benchmarks.preparation import Sample, Split
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.text_files import read_csv

SSV2_RETRIEVAL_COUNT = 2088  # clips: 12 of each of the 174 templates
SSV2_TEMPORAL_COUNT = 864  # clips of 18 templates


class _Layout(NamedTuple):
    """Keys of a file of candidates."""

    video: str  # of the clip, with or without ending and folder
    candidates: str  # of the list of sentences
    answer: str  # of the right one: its index, or its text
    by_text: bool = False


# The first whose keys a file has is taken: the TVTSv2 release's `meta_data/ssv2/mc/val.jsonl`,
# InternVideo2's `ssv2_mc_val.json`, and VLM2Vec's.
_LAYOUTS = (_Layout('clip_name', 'options', 'answer'), _Layout('image', 'option', 'answer'),
            _Layout('video', 'option', 'answer'),
            _Layout('video_id', 'neg_text', 'pos_text', by_text=True))


@dataclass(kw_only=True)
class CandidateReport:
    """What a file of candidates holds."""

    num_candidates: Counter[int] = field(default_factory=Counter)  # clips that have so many
    # How many right candidates are the official label, template or neither; empty where the
    # official file was not given.
    agreement: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """The report as lines of text."""
        shares = ', '.join(f'{count} with {number} candidates'
                           for number, count in sorted(self.num_candidates.items()))
        lines = [f'{self.num_candidates.total()} clips: {shares}']
        if self.agreement:
            lines.append('the right candidate is the official ' + ', '.join(
                f'{kind} of {count}' for kind, count in self.agreement.most_common()))
        return '\n'.join(lines)


def read_ssv2_mc(path: str | Path,
                 validation: str | Path | None = None) -> tuple[list[Split], CandidateReport]:
    """Read a file of candidates (json or JSON lines, one of ``_LAYOUTS``).

    Args:
        path: The file.
        validation: ``something-something-v2-validation.json`` (``id``, ``label``, ``template``,
            ``placeholders``), in which every clip must be.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has another layout, a record does not fit, or a clip is not in the official
            validation set.
    """
    records = read_json_list(path, keys=())
    layout = _layout(path, records)
    official = {} if validation is None else {
        str(record.get('id')): record
        for record in read_json_list(validation, keys=('label', 'template'))}
    samples = []
    report = CandidateReport()
    for number, record in enumerate(records):
        where = f'{path}: record {number}'
        video, candidates, answer = _read(where, record, layout)
        if validation is not None:
            if video not in official:
                raise UserFileError(f'{where}: clip {video:.200} is not in {validation}')
            report.agreement[_agreement(candidates[answer], official[video])] += 1
        report.num_candidates[len(candidates)] += 1
        samples.append(Sample(name=video, stems=(video, ),
                              annotation={'captions': candidates, 'answer': answer}))
    return [Split(name='test.jsonl', samples=samples)], report


def _layout(path: str | Path, records: list[dict]) -> _Layout:
    for layout in _LAYOUTS:
        if records and {*layout[:3]} <= records[0].keys():
            return layout
    known = '; '.join(', '.join(layout[:3]) for layout in _LAYOUTS)
    raise UserFileError(f'{path}: its records have none of these sets of keys: {known}')


def _read(where: str, record: dict, layout: _Layout) -> tuple[str, list[str], int]:
    """Clip, candidates, and index of the right one."""
    try:
        video, candidates, answer = (record[key] for key in layout[:3])
    except KeyError as error:
        raise UserFileError(f'{where}: no {error}') from None
    if not isinstance(candidates, list) or not all(isinstance(text, str) for text in candidates):
        raise UserFileError(f'{where}: {layout.candidates} must be a list of texts')
    if layout.by_text:
        if candidates.count(answer) != 1:
            raise UserFileError(f'{where}: {layout.answer} {answer!r:.200} must be one of '
                                f'{layout.candidates}, once')
        index = candidates.index(answer)
    elif isinstance(answer, bool) or not str(answer).isdecimal():
        raise UserFileError(f'{where}: {layout.answer} must be the index of a candidate, '
                            f'not {answer!r:.200}')
    else:
        index = int(answer)
    if not index < len(candidates):
        raise UserFileError(f'{where}: {layout.answer} is {index}, but there are {len(candidates)} '
                            'candidates')
    return Path(str(video)).stem, candidates, index


def _agreement(candidate: str, official: dict) -> str:
    """Which of the official texts a candidate is; case, brackets and spacing aside."""
    return next((kind for kind in ('label', 'template')
                 if _plain(candidate) == _plain(official[kind])), 'neither')


def _plain(text: str) -> str:
    return ' '.join(text.lower().replace('[', '').replace(']', '').rstrip('.').split())


def read_ssv2_retrieval(path: str | Path, name: str) -> Split:
    """Read ``ssv2_ret_template_val_small.json`` or ``ssv2_ret_label_val_small.json``.

    Each object has a ``caption`` and its clips, under ``video`` or ``image``. "[Something]" loses
    its brackets.

    Args:
        path: The file.
        name: What the split is called: 'template' or 'label'.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A record does not fit.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise UserFileError(f'{path}: a list of objects is needed, one for each caption')
    samples = []
    for number, record in enumerate(records):
        clips = record.get('video', record.get('image')) if isinstance(record, dict) else None
        clips = [clips] if isinstance(clips, str) else clips
        if (not isinstance(clips, list) or not all(isinstance(clip, str) for clip in clips)
                or not isinstance(record.get('caption'), str)):
            raise UserFileError(
                f'{path}: record {number} must have a caption, and clips under video '
                f'or image; it is {str(record)[:80]}')
        samples += [_clip(Path(clip).stem, record['caption']) for clip in clips]
    return Split(name=f'{name}.jsonl', samples=samples, official=(SSV2_RETRIEVAL_COUNT, ))


def read_ssv2_temporal(path: str | Path) -> Split:
    """Read ``val-v1.0-2.4k.csv``: clips of the templates that need time to be told.

    Of its columns ``video_id``, ``text`` and ``dataset`` the rows of SSv2 are taken (the others are
    of Kinetics). "[Something]" loses its brackets.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing.
    """
    samples = [_clip(row['video_id'].strip(), row['text'])
               for _, row in read_csv(path, columns=('video_id', 'text', 'dataset'))
               if row['dataset'].strip().lower() == 'ssv2']
    return Split(name='temporal.jsonl', samples=samples, official=(SSV2_TEMPORAL_COUNT, ))


def _clip(name: str, text: str) -> Sample:
    return Sample(name=name, stems=(name, ), annotation={
        'captions': [text.replace('[', '').replace(']', '').strip()]})
