"""Which parts of a video are narrated, and a record cut to a part: pure functions on seconds."""

from itertools import pairwise

from tvtsv2_mm.preparation.options import CutConfig

Entries = list[list]  # [text, start, end] of words or cues, in seconds, sorted by start
Spans = list[tuple[float, float]]  # start and end in seconds


def narrated_parts(entries: Entries, duration: float, config: CutConfig) -> tuple[Spans, Spans]:
    """Find the parts of a video of ``duration`` seconds in which there is speech.

    Returns:
        The parts, and those that are too short.

    Examples:
        >>> words = [['so', 2, 3], ['now', 9, 30], ['end', 80, 81]]
        >>> narrated_parts(words, 90.0, CutConfig(max_gap=8))
        ([(1.0, 31.0)], [(79.0, 82.0)])
    """
    runs: list[list[float]] = []
    for _, start, end in entries:
        start, end = min(start, duration), min(end, duration)
        if runs and start - runs[-1][1] <= config.max_gap:
            runs[-1][1] = max(runs[-1][1], end)
        else:
            runs.append([start, end])
    kept, short = [], []
    edge = 0.0  # a margin ends where the part before it ends, and where the next one begins
    for (start, end), (next_start, _) in pairwise([*runs, [duration, duration]]):
        start, end = max(start - config.margin, edge), min(end + config.margin, next_start)
        edge = end
        if end - start < config.min_seconds:
            short.append((start, end))
            continue
        count = max(1, int(-(-(end - start) // config.max_seconds)))
        edges = [start + i * (end - start) / count for i in range(count)] + [end]
        kept += pairwise(edges)
    return kept, short


def cut_words(words: Entries, start: float, end: float) -> Entries:
    """Words whose middle lies in ``[start, end)``, with times that count from ``start``.

    Examples:
        >>> cut_words([['so', 2, 3], ['now', 9, 12]], 1.0, 11.0)
        [['so', 1.0, 2.0], ['now', 8.0, 10.0]]
    """
    return [[text, *_shifted(a, b, start, end)] for text, a, b in words
            if start <= (a + b) / 2 < end]


def cut_segments(segments: Entries, start: float, end: float) -> Entries:
    """Cues, or the words of them that count as spoken in ``[start, end)``, likewise.

    The words of a cue are spoken evenly over it, before the cut and after.

    Examples:
        >>> cut_segments([['so now flip it', 0, 8]], 3.0, 100.0)
        [['flip it', 1.0, 5.0]]
    """
    cut = []
    for text, a, b in segments:
        words = text.split()
        each = (b - a) / len(words)
        inside = [i for i in range(len(words)) if start <= a + (i + 0.5) * each < end]
        if inside:
            cut.append([' '.join(words[inside[0]:inside[-1] + 1]),
                        *_shifted(a + inside[0] * each, a + (inside[-1] + 1) * each, start, end)])
    return cut


def _shifted(a: float, b: float, start: float, end: float) -> tuple[float, float]:
    return round(max(a, start) - start, 3), round(min(b, end) - start, 3)


def cut_record(record: dict, start: float, end: float) -> dict:
    """A record of what is left of a video that is cut to the seconds ``start`` .. ``end``.

    ``meta.cut`` says where the part was, and ``id`` names it.
    """
    cut = {key: value for key, value in record.items() if key not in ('start', 'end')}
    start, end = round(start, 3), round(end, 3)
    cut['duration'] = round(end - start, 3)
    if 'words' in record:
        cut['words'] = cut_words(record['words'], start, end)
    if 'segments' in record:
        cut['segments'] = cut_segments(record['segments'], start, end)
    cut['id'] = f'{record.get("id") or record["path"]}#t={start},{end}'
    cut['meta'] = record.get('meta', {}) | dict(cut=[start, end])
    return cut
