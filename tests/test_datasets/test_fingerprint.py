import os

from mmengine.dataset import ConcatDataset, RepeatDataset

from tvtsv2_mm.datasets import LabeledVideoDataset
from tvtsv2_mm.datasets.fingerprint import fingerprint


def test_other_annotations_are_told_and_other_places_are_not(tmp_path):
    def labeled(folder, text):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / 'list.txt').write_text(text)
        return LabeledVideoDataset(str(tmp_path / folder / 'list.txt'), test_mode=True)

    one = fingerprint(labeled('a', 'x.mp4 1\ny.mp4 2\n'))
    assert one == ['16 bytes, CRC-32 0c838362'] == fingerprint(labeled('b', 'x.mp4 1\ny.mp4 2\n'))
    changed = labeled('a', 'x.mp4 1\ny.mp4 3\n')  # of the same size
    os.utime(tmp_path / 'a' / 'list.txt', ns=(1, 1))
    other = fingerprint(changed)
    assert other[0].startswith('16 bytes') and other != one
    several = ConcatDataset([labeled('b', 'x.mp4 1\ny.mp4 2\n'), changed])
    assert fingerprint(several) == one + other
    assert fingerprint(RepeatDataset(changed, 2)) == other
    assert fingerprint([1, 2]) == [None]
