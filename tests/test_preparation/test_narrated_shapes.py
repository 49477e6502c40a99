import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import decord
import numpy as np
import pytest

from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.preparation.narrated_shapes.build import COMBINATIONS
from tvtsv2_mm.preparation.narrated_shapes.events import THINGS, draw_event, draw_story
from tvtsv2_mm.preparation.narrated_shapes.narration import caption_of_order, narrate
from tvtsv2_mm.preparation.narrated_shapes.registers import REGISTERS
from tvtsv2_mm.preparation.narrated_shapes.render import render_frames
from tvtsv2_mm.preparation.narrated_shapes.vocabulary import COLOURS, MISHEARD, MOTIONS
from tvtsv2_mm.utils.tokenizer import ClipTokenizer

SMALL = NarratedShapesOptions(
    transcript_videos=(4, 3), clip_rounds=(1, 1), order_clips=(3, 5), seed=7)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shapes')
    build_narrated_shapes(folder, SMALL)
    return folder


def read_lines(root: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (root / 'annotations' / name).open(encoding='utf-8')]


def digests(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(root.rglob('*')) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(root, tmp_path):
    build_narrated_shapes(tmp_path / 'again', SMALL, workers=2)
    assert digests(tmp_path / 'again') == digests(root)
    build_narrated_shapes(tmp_path / 'other', replace(SMALL, seed=8, clip_rounds=(0, 0)))
    assert digests(tmp_path / 'other')['videos/stories_val/00000.mp4'] != digests(root)[
        'videos/stories_val/00000.mp4']


def test_more_videos_do_not_change_the_first_ones(root, tmp_path):
    more = replace(SMALL, transcript_videos=(6, 3), clip_rounds=(0, 0), order_clips=(0, 0))
    build_narrated_shapes(tmp_path, more)
    name = 'videos/stories_train/00003.mp4'
    assert digests(tmp_path)[name] == digests(root)[name]


def test_a_complete_folder_is_left_alone_and_other_options_are_refused(root):
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    counts = build_narrated_shapes(root, SMALL)
    assert counts == dict(stories_train=4, stories_val=3, clips_train=108, orders_train=3,
                          clips_test=108, orders_test=5)
    assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before
    with pytest.raises(ValueError, match='made with'):
        build_narrated_shapes(root, replace(SMALL, seed=1))


def test_words_lie_inside_the_video_that_decodes(root):
    entries = read_lines(root, 'transcripts_train.jsonl')
    for entry in entries:
        reader = decord.VideoReader(str(root / 'videos' / entry['path']))
        assert reader[0].shape == (64, 64, 3)
        assert len(reader) / reader.get_avg_fps() == pytest.approx(entry['duration'], abs=1e-3)
        starts = [start for _, start, _ in entry['words']]
        assert starts == sorted(starts)
        assert all(0 <= start <= end <= entry['duration'] for _, start, end in entry['words'])
        # Long enough for 4 segments of 3 s with 1 s between them.
        assert entry['duration'] >= 15
        assert 4 <= len(entry['meta']['events']) <= 6


def centres_and_areas(frames: np.ndarray, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Centre (T, 2) in pixels and area (T,) of what has the colour."""
    close = np.abs(frames.astype(int) - np.asarray(COLOURS[colour])).max(axis=-1) < 60
    rows, columns = np.mgrid[:frames.shape[1], :frames.shape[2]]
    area = close.sum(axis=(1, 2))
    assert (area > 0).all()
    return np.stack([(close * columns).sum(axis=(1, 2)) / area,
                     (close * rows).sum(axis=(1, 2)) / area], axis=1), area


def test_labels_say_what_the_pixels_do(root):
    names = (root / 'annotations/motions.txt').read_text(encoding='utf-8').split('\n')
    events = {entry['path']: entry['meta']['events'][0]
              for entry in read_lines(root, 'captions_test.jsonl')}
    lines = (root / 'annotations/motions_test.txt').read_text(encoding='utf-8').splitlines()
    assert len(lines) == 108
    for line in lines:
        path, label = line.rsplit(' ', 1)
        frames = decord.VideoReader(str(root / 'videos' / path)).get_batch(range(1, 11)).asnumpy()
        centre, area = centres_and_areas(frames, events[path]['colour'])
        x, y = centre[-1] - centre[0]
        growth = area[-1] / area[0]
        seen = ('growing' if growth > 2 else 'shrinking' if growth < 0.5 else
                'moving left' if x < -20 else 'moving right' if x > 20 else
                'moving up' if y < -20 else 'moving down' if y > 20 else 'nothing')
        assert seen == names[int(label)], path


def test_a_still_at_the_end_of_a_clip_shows_what_its_caption_names(root):
    # What a CLIP can learn from pictures: "left" is on the left, "bigger" is big.
    stills, clips = (read_lines(root, f'{name}_train.jsonl') for name in ('pictures', 'captions'))
    sides = {}
    for still, clip in zip(stills, clips, strict=True):
        assert still['captions'] == clip['captions']
        assert still['end'] == clip['duration'] and still['end'] - still['start'] < 1.01
        event = clip['meta']['events'][0]
        frame = decord.VideoReader(str(root / 'videos' / still['path']))[-1].asnumpy()
        centre, area = centres_and_areas(frame[None], event['colour'])
        sides.setdefault(event['motion'], []).append((*centre[0], area[0]))
    means = {motion: np.mean(values, axis=0) for motion, values in sides.items()}
    assert means['moving left'][0] < 25 and means['moving right'][0] > 39
    assert means['moving up'][1] < 25 and means['moving down'][1] > 39
    assert means['growing'][2] > 5 * means['shrinking'][2]


def test_mirrored_motions_have_the_same_frames_in_the_other_order():
    for one, other in zip(MOTIONS[::2], MOTIONS[1::2], strict=True):
        films = []
        for motion in (one, other):
            rng = np.random.default_rng(3)
            event = draw_event(rng, thing=('red', 'square'), motion=motion, start=0.0, end=4.0)
            films.append(render_frames(rng, [event], size=64, fps=4.0))
        assert not np.array_equal(films[0], films[1])
        difference = films[0].astype(int) - films[1][::-1].astype(int)
        assert np.abs(difference).max() <= 1  # rounding


def test_test_gallery_has_every_combination_once_and_captions_tell_them_apart(root):
    entries = read_lines(root, 'captions_test.jsonl')
    assert len(entries) == len(THINGS) * len(MOTIONS) == 108
    sets = [frozenset(entry['captions']) for entry in entries]
    assert all(len(captions) == 3 for captions in sets)
    assert sum(map(len, sets)) == len(frozenset().union(*sets))


def test_order_choice_has_the_right_answer_and_no_favourite(root):
    entries = read_lines(root, 'orders_test.jsonl')
    for entry in entries:
        first, second = entry['meta']['events']
        right = entry['captions'][entry['answer']]
        one, two = (right.index(f'{e["colour"]} {e["shape"]}') for e in (first, second))
        if (first['colour'], first['shape']) != (second['colour'], second['shape']):
            assert (one > two) == (' after ' in right)
    rng = np.random.default_rng(0)
    one, two = draw_story(rng, num_events=2, event_seconds=(3, 4), num_things=2)
    assert caption_of_order(one, two, wording='after') == (
        f'a {two.colour} {two.shape} {two.motion.finite[0]} after '
        f'a {one.colour} {one.shape} {one.motion.finite[0]}')


def test_some_stories_can_only_be_sorted_by_what_moves_how():
    things = set()
    for seed in range(30):
        story = draw_story(np.random.default_rng(seed), num_events=5, event_seconds=(3, 4))
        assert len({event.motion.name for event in story}) == 5
        assert all(a.end == b.start for a, b in pairwise(story))
        things.add(len({(event.colour, event.shape) for event in story}))
    assert things == {1, 2, 5}


def test_narration_has_fillers_and_the_noise_of_a_recogniser():
    rng = np.random.default_rng(0)
    story = draw_story(rng, num_events=6, event_seconds=(3, 4))
    clean = narrate(np.random.default_rng(1), story, filler_rate=0, drop_rate=0, mishear_rate=0,
                    jitter_seconds=0)
    spoken = ' '.join(word for word, _, _ in clean)
    assert all(event.colour in spoken or event.shape in spoken for event in story)
    noisy = narrate(np.random.default_rng(1), story, filler_rate=0.5, drop_rate=0.2,
                    mishear_rate=1.0)
    words = {word for word, _, _ in noisy}
    assert words & {'um', 'uh', 'so', 'okay', 'know', 'well', 'alright'}
    assert words & set(MISHEARD.values())
    assert not words & set(MISHEARD)


@pytest.mark.parametrize('wrong', [dict(size=15), dict(num_events=(1, 3)), dict(num_events=(5, 9)),
                                   dict(fps=0.0), dict(event_seconds=(4.0, 3.0))])
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NarratedShapesOptions(**wrong)


def test_registers_say_the_same_of_the_same_pictures_in_words_of_their_own(root):
    tokenizer = ClipTokenizer(32)
    for kind in ('motion_prompts', 'thing_prompts'):
        for name, register in REGISTERS.items():
            classes, templates = getattr(register, kind)()
            assert len(set(classes)) == len(classes) in (len(MOTIONS), len(THINGS)), name
            texts = [template.replace('{}', one) for template in templates for one in classes]
            assert len(set(texts)) == len(texts)
            assert tokenizer.tokenize(texts)[1] == 0  # none is cut
    lines = read_lines(root, 'registers_train.jsonl')
    stills = read_lines(root, 'pictures_train.jsonl')
    assert [line['path'] for line in lines] == [still['path'] for still in stills]
    assert all(len(line['captions']) == len(REGISTERS) for line in lines)
    number = int(Path(lines[20]['path']).stem)
    (colour, shape), motion = COMBINATIONS[number % len(COMBINATIONS)]
    for caption, register in zip(lines[20]['captions'], REGISTERS.values(), strict=True):
        assert register.thing(colour, shape) in caption and register.motions[motion] in caption


def test_captions_of_things_tell_no_motion(root):
    told = read_lines(root, 'spoken_things_train.jsonl')
    spoken = read_lines(root, 'spoken_train.jsonl')
    assert [one['path'] for one in told] == [one['path'] for one in spoken]
    words = {word for motion in MOTIONS for phrase in (*motion.finite, *motion.continuous)
             for word in phrase.split()} - {'to', 'the'}
    for one in told:
        event, = one['meta']['events']
        assert len(one['captions']) == 3
        for caption in one['captions']:
            assert f'{event["colour"]} ' in caption and caption.endswith(event['shape'])
            assert not words & set(caption.split())


def test_spoken_captions_are_the_narrators_alone(root):
    spoken, all_of_them = (read_lines(root, f'{name}_train.jsonl')
                           for name in ('spoken', 'captions'))
    for one, other in zip(spoken, all_of_them, strict=True):
        assert one['captions'] == other['captions'][3:] and len(one['captions']) == 3


def test_labels_of_things(root):
    lines = (root / 'annotations' / 'things_test.txt').read_text('utf-8').splitlines()
    events = {entry['path']: entry['meta']['events'][0]
              for entry in read_lines(root, 'captions_test.jsonl')}
    for line in lines[:len(events)]:
        path, label = line.split()
        assert THINGS[int(label)] == (events[path]['colour'], events[path]['shape'])


def test_unseen_colours_are_in_stills_and_tests_alone(tmp_path):
    build_narrated_shapes(tmp_path, replace(SMALL, unseen_colours=2))
    events = {name: {event['colour'] for entry in read_lines(tmp_path, f'{name}.jsonl')
                     for event in entry['meta']['events']}
              for name in ('transcripts_train', 'transcripts_val', 'spoken_train',
                           'captions_test')}
    unseen = {'purple', 'white'}
    assert all(not events[name] & unseen for name in events if name != 'captions_test')
    assert events['captions_test'] == set(COLOURS)
    stills = read_lines(tmp_path, 'registers_train.jsonl')
    assert len(stills) == 108 > len(read_lines(tmp_path, 'spoken_train.jsonl')) == 72
    with pytest.raises(ValueError, match='unseen_colours must lie between 0 and 5, got 6'):
        replace(SMALL, unseen_colours=6)
