"""The inspection as one HTML file that opens by itself.

Paths, texts and messages are those of strangers: whatever goes into the page is escaped, and the
page forbids itself scripts and any connection.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from tvtsv2_mm.datasets.transforms import SampleTranscriptSegments
from tvtsv2_mm.preparation.inspection.contact_sheet import Sheet, make_sheet
from tvtsv2_mm.preparation.inspection.draws import SegmentDraws, try_draws
from tvtsv2_mm.preparation.inspection.languages import UNSURE, detect_languages
from tvtsv2_mm.preparation.inspection.plots import bars, histogram
from tvtsv2_mm.preparation.inspection.survey import Survey, number_of_words, seconds_of, text_of
from tvtsv2_mm.utils.files import write_atomically

_MAX_EXAMPLES = 12
_MAX_TEXT = 300

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; }}
td {{ padding: 2px 1em 2px 0; vertical-align: top; overflow-wrap: anywhere; }}
section {{ border-top: 1px solid #ccc; margin-top: 1.5em; }}
h3 {{ overflow-wrap: anywhere; }}
.frames {{ display: flex; flex-wrap: wrap; gap: 4px; }}
figure {{ margin: 0; }} figcaption {{ font-size: 11px; color: #555; }}
.error {{ color: #a00; }} .note {{ color: #555; }}
</style></head><body>
"""


def write_page(survey: Survey, output: str | Path, *, sampler: SampleTranscriptSegments,
               videos: str | Path | None = None, num_sheets: int = 6, seed: int = 0) -> str:
    """Write the page.

    Args:
        survey: Of the annotation file.
        output: The HTML file.
        sampler: Draws the segments, with the numbers of the config.
        videos: Folder of the videos; None shows no frames.
        num_sheets: Samples to show frames of.
        seed: Of the draws.

    Returns:
        The same in a few lines of text, without pictures.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if videos is not None and not Path(videos).is_dir():
        raise FileNotFoundError(f'there is no folder {videos} (of the videos)')
    sample = survey.sample
    languages = list(detect_languages(map(text_of, sample)))
    draws = try_draws(sample, sampler, seed=seed) if survey.kind == 'transcripts' else None
    title = escape(f'Inspection of {survey.path.name}')
    parts = [_HEAD.format(title=title), f'<h1>{title}</h1>', _table(survey.rows()),
             *_bad_lines(survey),
             f'<p class="note">What follows is of {len(sample):,} of {survey.num_records:,} '
             'records, drawn at random.</p>',
             *_plots(survey), *_languages(sample, languages)]
    if draws is not None:
        parts += _draws(draws, sampler)
    if videos is not None:
        chosen = np.random.default_rng(seed).permutation(len(sample))[:num_sheets]
        parts += ['<h2>Samples</h2>',
                  '<p class="note">Drawn and decoded as in training, with the middle frame of each '
                  'interval.</p>']
        parts += [_sheet(make_sheet(sample[i], videos, sampler, np.random.default_rng((seed, i))))
                  for i in chosen]
    # A file name that is not Unicode must not stop the page.
    write_atomically(Path(output), '\n'.join([*parts, '</body></html>\n']).encode(
        errors='backslashreplace'))
    lines = [f'{name}: {value}' for name, value in survey.rows()]
    counts = ', '.join(f'{count} {name}' for name, count in Counter(languages).most_common(5))
    lines.append(f'languages of {len(sample):,} records: {counts}')
    if draws is not None:
        lines += [f'segments: {draws.summary()}',
                  *(f'  {count} x {cause}' for cause, count in draws.given_up.most_common())]
    return '\n'.join(lines)


def _table(rows: Iterable[Sequence[str]]) -> str:
    return '<table>' + ''.join(
        '<tr>' + ''.join(f'<td dir="auto">{escape(cell)}</td>' for cell in row) + '</tr>'
        for row in rows) + '</table>'


def _causes(counts: Counter[str], examples: Mapping[str, str] | None = None) -> str:
    """A table of causes, the most frequent first, if wanted with an example each."""
    return _table((f'{count:,}', cause, *([examples[cause]] if examples else ()))
                  for cause, count in counts.most_common())


def _image(data: bytes, kind: str) -> str:
    return f'<img src="data:image/{kind};base64,{b64encode(data).decode()}" alt="">'


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f'{text[:_MAX_TEXT]} ...'


def _bad_lines(survey: Survey) -> list[str]:
    if not survey.bad_lines:
        return []
    return ['<h2>Lines that do not fit the format</h2>', _causes(survey.bad_lines),
            f'<p class="error">The first one: {escape(_shorten(survey.first_bad_line))}</p>']


def _plots(survey: Survey) -> list[str]:
    timed = [(record, seconds) for record in survey.sample
             if (seconds := seconds_of(record)) is not None]
    plots = []
    if timed:
        plots.append(histogram([seconds for _, seconds in timed], 'seconds of video', log=True))
    if survey.kind == 'transcripts':
        plots.append(histogram([60 * number_of_words(record) / seconds
                                for record, seconds in timed if seconds], 'words per minute'))
    else:
        plots.append(histogram([len(text.split()) for record in survey.sample
                                for text in record['captions']], 'words of a caption'))
    return ['<h2>Durations and words</h2>', *(_image(plot, 'png') for plot in plots)]


def _languages(sample: Sequence[dict], languages: Sequence[str]) -> list[str]:
    counts = Counter(languages)
    main = next((name for name, _ in counts.most_common() if name != UNSURE), UNSURE)
    others = [(name, record['path'], _shorten(text_of(record, 30)))
              for name, record in zip(languages, sample, strict=True) if name not in (main, UNSURE)]
    return ['<h2>Languages</h2>', _image(bars(counts, 'records'), 'png'),
            f'<p>{len(others):,} of {len(sample):,} records are in another language than '
            f'{escape(main)}; {counts[UNSURE]:,} are too short or too mixed to say.</p>',
            _table(others[:_MAX_EXAMPLES])]


def _draws(draws: SegmentDraws, sampler: SampleTranscriptSegments) -> list[str]:
    parts = ['<h2>Draws of segments</h2>', f'<p class="note">{escape(repr(sampler))}</p>',
             f'<p>{escape(draws.summary())}</p>']
    if draws.given_up:
        parts += ['<p>Transcripts without a usable draw, by cause, with an example:</p>',
                  _causes(draws.given_up, draws.examples)]
    if draws.failed_draws:
        parts += ['<p>Single draws that fail, by cause:</p>', _causes(draws.failed_draws)]
    return parts


def _sheet(sheet: Sheet) -> str:
    parts = [f'<section><h3>{escape(sheet.path)}</h3>']
    if sheet.reason:
        parts.append(f'<p class="error">{escape(sheet.reason)}</p>')
    for strip in sheet.strips:
        parts.append('<div class="frames">' + ''.join(
            f'<figure>{_image(data, "jpeg")}<figcaption>{time:.2f} s</figcaption></figure>'
            for time, data in strip.frames) + '</div>')
        parts += [f'<p dir="auto"><b>{escape(strip.title)}</b> {escape(_shorten(text))}</p>'
                  for text in strip.texts]
    return '\n'.join([*parts, '</section>'])
