"""SSv2-MC: the files of candidate sentences that are in use, checked against the official ones."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tvtsv2_mm.preparation.benchmarks.files import read_json_list
from tvtsv2_mm.preparation.benchmarks.preparation import Sample, Split


@dataclass(frozen=True, kw_only=True)
class CandidateLayout:
    """Keys of a file of candidates.

    Attributes:
        video: Key of the clip, with or without ending and folder.
        candidates: Key of the list of sentences.
        answer: Key of the right one: its index or its text.
        by_text: Whether it is the text.
    """

    video: str
    candidates: str
    answer: str
    by_text: bool = False


# The first whose keys a file has is taken: the TVTSv2 release's `meta_data/ssv2/mc/val.jsonl`,
# InternVideo2's `ssv2_mc_val.json`, and VLM2Vec's.
LAYOUTS = (
    CandidateLayout(video='clip_name', candidates='options', answer='answer'),
    CandidateLayout(video='image', candidates='option', answer='answer'),
    CandidateLayout(video='video', candidates='option', answer='answer'),
    CandidateLayout(video='video_id', candidates='neg_text', answer='pos_text', by_text=True),
)


@dataclass(kw_only=True)
class CandidateReport:
    """What a file of candidates holds.

    Attributes:
        num_videos: Clips.
        num_candidates: How many clips have how many candidates.
        agreement: How many right candidates are the official ``label``, ``template`` or neither;
            empty where the official file was not given.
    """

    num_videos: int
    num_candidates: Counter[int] = field(default_factory=Counter)
    agreement: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """The report as lines of text."""
        shares = ', '.join(f'{count} with {number} candidates'
                           for number, count in sorted(self.num_candidates.items()))
        lines = [f'{self.num_videos} clips: {shares}']
        if self.agreement:
            lines.append('the right candidate is the official ' + ', '.join(
                f'{kind} of {count}' for kind, count in self.agreement.most_common()))
        return '\n'.join(lines)


def read_ssv2_mc(path: str | Path,
                 validation: str | Path | None = None) -> tuple[list[Split], CandidateReport]:
    """Read a file of candidates (json or JSON lines, one of ``LAYOUTS``).

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
    official = _official(validation) if validation is not None else {}
    samples = []
    report = CandidateReport(num_videos=len(records))
    for number, record in enumerate(records):
        where = f'{path}: record {number}'
        video, candidates, answer = _read(where, record, layout)
        if validation is not None:
            if video not in official:
                raise ValueError(f'{where}: clip {video} is not in {validation}')
            report.agreement[_agreement(candidates[answer], official[video])] += 1
        report.num_candidates[len(candidates)] += 1
        samples.append(Sample(name=video, stems=(video, ),
                              annotation={'captions': candidates, 'answer': answer}))
    return [Split(name='test.jsonl', samples=samples)], report


def _layout(path: str | Path, records: list[dict]) -> CandidateLayout:
    for layout in LAYOUTS:
        if records and {layout.video, layout.candidates, layout.answer} <= records[0].keys():
            return layout
    known = '; '.join(f'{each.video}, {each.candidates}, {each.answer}' for each in LAYOUTS)
    raise ValueError(f'{path}: its records have none of these sets of keys: {known}')


def _read(where: str, record: dict, layout: CandidateLayout) -> tuple[str, list[str], int]:
    """Clip, candidates, and index of the right one."""
    try:
        video, candidates = record[layout.video], record[layout.candidates]
        answer = record[layout.answer]
    except KeyError as error:
        raise ValueError(f'{where}: no {error}') from None
    if not isinstance(candidates, list) or not all(isinstance(text, str) for text in candidates):
        raise ValueError(f'{where}: {layout.candidates} must be a list of texts')
    if layout.by_text:
        if candidates.count(answer) != 1:
            raise ValueError(f'{where}: {layout.answer} {answer!r} must be one of '
                             f'{layout.candidates}, once')
        index = candidates.index(answer)
    elif isinstance(answer, bool) or not str(answer).isdecimal():
        raise ValueError(f'{where}: {layout.answer} must be the index of a candidate, '
                         f'not {answer!r}')
    else:
        index = int(answer)
    if not index < len(candidates):
        raise ValueError(f'{where}: {layout.answer} is {index}, but there are {len(candidates)} '
                         'candidates')
    return Path(str(video)).stem, candidates, index


def _official(path: str | Path) -> dict[str, dict]:
    records = read_json_list(path, keys=('label', 'template'))
    return {str(record.get('id')): record for record in records}


def _agreement(candidate: str, official: dict) -> str:
    """Which of the official texts a candidate is; case, brackets and spacing aside."""
    for kind in ('label', 'template'):
        if _plain(candidate) == _plain(official[kind]):
            return kind
    return 'neither'


def _plain(text: str) -> str:
    return ' '.join(text.lower().replace('[', '').replace(']', '').rstrip('.').split())
