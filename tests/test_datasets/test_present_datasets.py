import json

import pytest

from tvtsv2_mm.registry import DATASETS


@pytest.mark.parametrize('data_root', ['', None])
def test_what_is_not_there_is_left_out_but_for_the_first(tmp_path, data_root):
    (tmp_path / 'a.jsonl').write_text(json.dumps(dict(path='a.mp4', captions=['a'])))

    def build(*names):
        folder = {} if data_root is None else dict(data_root=str(tmp_path))
        prefix = f'{tmp_path}/' if data_root is None else ''
        return DATASETS.build(dict(type='PresentDatasets', datasets=[
            dict(type='CaptionVideoDataset', ann_file=prefix + name, **folder) for name in names]))

    assert len(build('a.jsonl', 'b.jsonl').datasets) == 1
    assert len(build('a.jsonl', 'a.jsonl').datasets) == 2
    with pytest.raises(FileNotFoundError, match=r'b\.jsonl'):
        build('b.jsonl', 'a.jsonl')
