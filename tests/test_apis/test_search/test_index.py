import builtins

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tvtsv2_mm.apis.features import FeatureSet
from tvtsv2_mm.apis.search import Searcher, index
from tvtsv2_mm.apis.search.index import FILE, ClusteredIndex, open_index
from tvtsv2_mm.apis.search.vectors import ExactIndex


@pytest.fixture(autouse=True)
def index_for_few(monkeypatch):
    monkeypatch.setattr(index, 'EXACT_BELOW', 1000)


@pytest.fixture
def messages(monkeypatch):
    found = []
    monkeypatch.setattr(index, 'print_log', lambda text, logger: found.append(text))
    return found


def made(videos=range(60), seed=0):
    """Videos of 50 windows that lie near each other, each by its number alone."""
    rows = []
    for video in videos:
        rng = np.random.default_rng([seed, video])
        rows.append(rng.standard_normal(16) + 0.3 * rng.standard_normal((50, 16)))
    features = np.concatenate(rows).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return FeatureSet(
        videos=[f'{video % 2}/{video}.mp4' for video in videos for _ in range(50)], failed=[],
        features=features, meta={},
        keys=np.concatenate([(video << 32) + np.arange(50) for video in videos]),
        spans=np.tile(np.arange(50)[:, None] + np.array([0.0, 0.5]), (len(videos), 1)))


def recall(found, features, queries):
    rows, cosines = found.nearest(queries, 10)
    expected, best = ExactIndex(features).nearest(queries, 10)
    assert (cosines[:, :-1] >= cosines[:, 1:]).all()
    np.testing.assert_allclose(  # compared in float32
        cosines, (features[rows] @ queries[:, :, None])[..., 0], atol=1e-6)
    assert (cosines[:, 0] <= best[:, 0] + 1e-6).all()
    return np.mean([len(set(own) & set(right)) / 10
                    for own, right in zip(rows, expected, strict=True)])


QUERIES = made(range(1000, 1040)).features[::50]


def test_an_index_is_made_kept_and_brought_up_to_date(tmp_path, messages):
    features = made()
    found = open_index(tmp_path, features)
    assert isinstance(found, ClusteredIndex)
    assert recall(found, features.features, QUERIES) >= 0.95
    assert messages == ['an index of 3000 rows is made, once']
    kept = load_file(tmp_path / FILE)

    # As it was: nothing is made, and nothing written.
    written = (tmp_path / FILE).stat().st_mtime_ns
    assert recall(open_index(tmp_path, features), features.features, QUERIES) >= 0.95
    assert (tmp_path / FILE).stat().st_mtime_ns == written and len(messages) == 1

    # Videos went, changed (under another key) and came: those that stayed are where they were.
    changed = made([*range(10, 50), *range(100, 140)][::-1])
    found = open_index(tmp_path, changed)
    assert recall(found, changed.features, QUERIES) >= 0.95 and len(messages) == 1
    after = load_file(tmp_path / FILE)
    np.testing.assert_array_equal(after['centres'], kept['centres'])
    assert sorted(after['keys']) == after['keys'].tolist() == sorted(changed.keys)
    both, of_before, of_after = np.intersect1d(kept['keys'], after['keys'], return_indices=True)
    assert len(both) == 40 * 50
    np.testing.assert_array_equal(kept['clusters'][of_before], after['clusters'][of_after])

    # Four times as many rows need other centres.
    many = made(range(300))
    assert recall(open_index(tmp_path, many), many.features, QUERIES) >= 0.95
    assert len(messages) == 2 and len(load_file(tmp_path / FILE)['centres']) > len(kept['centres'])


def test_a_part_that_was_made_anew_under_its_number_is_seen(tmp_path, messages):
    features = made()
    open_index(tmp_path, features)
    before = load_file(tmp_path / FILE)['clusters']
    changed, own = made(), made([7], seed=1)
    changed.features[350:400] = own.features
    found = open_index(tmp_path, changed)
    assert len(messages) == 1
    np.testing.assert_array_equal(found.nearest(own.features, 1)[0][:, 0], np.arange(350, 400))
    after = load_file(tmp_path / FILE)['clusters']
    assert (before != after)[350:400].mean() > 0.5 and (before == after).mean() > 0.98


def test_an_index_of_other_features_is_made_anew(tmp_path, messages):
    features, others = made(), made(seed=1)
    open_index(tmp_path, features)
    assert recall(open_index(tmp_path, others), others.features, QUERIES) >= 0.95
    assert messages[1] == 'the index is of other features: it is made anew'


@pytest.mark.parametrize('damage', [
    lambda found: found | dict(clusters=found['clusters'] + 10**6),
    lambda found: found | dict(clusters=-1 - found['clusters']),
    lambda found: found | dict(keys=found['keys'][::-1].copy()),
    lambda found: found | dict(keys=found['keys'][:5]),
    lambda found: found | dict(centres=found['centres'] * np.float32('nan')),
    lambda found: found | dict(centres=found['centres'][:, :8].copy()),
    lambda found: {name: value for name, value in found.items() if name != 'rows'},
])
def test_a_damaged_index_is_made_anew(tmp_path, messages, damage):
    features = made()
    open_index(tmp_path, features)
    save_file(damage(load_file(tmp_path / FILE)), tmp_path / FILE)
    assert recall(open_index(tmp_path, features), features.features, QUERIES) >= 0.95
    assert 'is damaged, and made anew' in messages[1] and len(messages) == 3
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[:100])
    open_index(tmp_path, features)
    assert len(messages) == 5
    np.testing.assert_array_equal(load_file(tmp_path / FILE)['keys'], features.keys)


def test_few_rows_and_large_shares_are_compared_exactly(tmp_path):
    few = made(range(10))
    assert type(open_index(tmp_path, few)) is ExactIndex and not list(tmp_path.iterdir())
    features = made()
    found = open_index(tmp_path, features)
    for wanted, rows in ((3000, None), (40, None), (10, np.arange(500)),
                         (10, np.arange(1000)[::2])):
        own, expected = (of.nearest(QUERIES, wanted, rows)
                         for of in (found, ExactIndex(features.features)))
        np.testing.assert_array_equal(own[0], expected[0])
        assert own[0].shape == (len(QUERIES), wanted)


def test_rows_of_a_folder_alone(tmp_path):
    features = made()
    found = open_index(tmp_path, features)
    rows = np.flatnonzero([name.startswith('1/') for name in features.videos])
    own, _ = found.nearest(QUERIES, 10, rows)
    expected, _ = ExactIndex(features.features).nearest(QUERIES, 10, rows)
    assert np.isin(own, rows).all()
    assert np.mean([len(set(a) & set(b)) for a, b in zip(own, expected, strict=True)]) >= 9.5


def test_searched_with_an_index_as_without(tmp_path):
    features = made()
    plain, fast = Searcher(features), Searcher(features, index=open_index(tmp_path, features))
    for query in QUERIES[:10]:
        for options in (dict(), dict(folder='1'), dict(per_video=True)):
            own, expected = (of.search(query, 2, **options) for of in (fast, plain))
            assert [moment.video for moment in own] == [moment.video for moment in expected]
            assert own[0].cosine == pytest.approx(expected[0].cosine)
            assert 'folder' not in options or own[0].video.startswith('1/')
    for folder in ('2', '1/1', '1/1.mp'):
        with pytest.raises(ValueError, match=f'is in a folder {folder}'):
            plain.search(QUERIES[0], folder=folder)


def test_a_folder_that_cannot_be_written(tmp_path, messages):
    blocked = tmp_path / 'missing'
    features = made()
    assert recall(open_index(blocked, features), features.features, QUERIES) >= 0.95
    assert 'the index is made anew each time' in messages[1]


def refuse(name, *rest, import_before=builtins.__import__):
    if name == 'faiss':
        raise ModuleNotFoundError(name=name)
    return import_before(name, *rest)


def test_without_faiss_all_is_compared(tmp_path, messages, monkeypatch):
    monkeypatch.setattr('builtins.__import__', refuse)
    features = made()
    assert type(open_index(tmp_path, features)) is ExactIndex
    assert 'all 3000 rows are compared: an index needs faiss-cpu' in messages[-1]
