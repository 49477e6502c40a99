import pytest

from tvtsv2_mm.preparation.benchmarks import class_names, official_class_names


@pytest.mark.parametrize(('benchmark', 'number', 'official', 'prompt'), [
    ('hmdb51', 51, {0: 'brush_hair', 35: 'shoot_bow', 50: 'wave'}, {0: 'brushing hair'}),
    ('ucf101', 101, {0: 'ApplyEyeMakeup', 81: 'Skijet', 100: 'YoYo'}, {81: 'riding a jet ski'}),
    ('kinetics400', 400, {0: 'abseiling', 375: 'using segway', 399: 'zumba'},
     {161: 'playing hurling', 375: 'using segway'}),
    ('kinetics600', 600, {0: 'abseiling', 599: 'zumba'}, {599: 'zumba'}),
    ('kinetics700', 700, {0: 'abseiling', 699: 'zumba'}, {699: 'zumba'}),
])
def test_names_in_the_order_of_the_labels(benchmark, number, official, prompt):
    for read, expected in ((official_class_names, official), (class_names, prompt)):
        names = read(benchmark)
        assert len(names) == len(set(names)) == number
        assert {label: names[label] for label in expected} == expected
        assert all(name == name.strip() and name for name in names)


def test_unknown_benchmark():
    with pytest.raises(ValueError, match='kinetics400'):
        class_names('kinetics')


@pytest.mark.parametrize('classes', [400, 600, 700])
def test_names_for_prompts_have_no_brackets(classes):
    """A class is the same phrase in all versions of Kinetics."""
    names, official = (read(f'kinetics{classes}') for read in (class_names, official_class_names))
    assert not any('(' in name for name in names)
    known = dict(zip(official_class_names('kinetics400'), class_names('kinetics400'), strict=True))
    for own, name in zip(official, names, strict=True):
        assert name == known.get(own, name)
        assert own == name or '(' in own or own in known
