import json

import pytest
from mmengine.config import Config

from tvtsv2_mm.evaluation.compare_results import NOTE, compare
from tvtsv2_mm.evaluation.paper_figures import PAPER_FIGURES
from tvtsv2_mm.evaluation.results import (
    describe_checkpoint,
    describe_config,
    describe_split,
    describe_views,
    group_metrics,
    read_result,
    write_result,
)
from tvtsv2_mm.utils.files import file_sha256


def result(top1, **more):
    return dict(protocol='zero-shot', benchmark='HMDB51', metrics=dict(raw={'acc/top1': top1}),
                views=dict(frames=12), prompts=['a person {}']) | more


def lines_with(text, word):
    return [line for line in text.splitlines() if word in line]


def test_side_by_side_and_beside_the_paper():
    text = compare([result(12.34), result(56.78, views=dict(frames=8))], ['ours', 'other'])
    [figures] = lines_with(text, 'acc/top1')
    assert [cell.strip() for cell in figures.split('|')[1:-1]] == [
        'acc/top1', '12.3', '56.8', '43.2', '50.4', '52.1']
    assert 'paper: TVTSv2 B/16' in text and text.endswith(NOTE)
    [frames] = lines_with(text, '| frames ')
    assert 'frames *' in frames  # the runs differ there
    assert 'prompts *' not in text
    assert 'probe' not in text  # which neither has


def test_whose_model_it_is():
    """Older files do not say it."""
    text = compare([result(1), result(2, backbone='mmaction.UniFormerV2'),
                    result(3, backbone='SpaceTimeViT')], ['old', 'theirs', 'ours'], paper=False)
    [row] = lines_with(text, 'backbone')
    assert [cell.strip() for cell in row.split('|')[1:-1]] == [
        'backbone *', '-', 'mmaction.UniFormerV2', 'SpaceTimeViT']
    assert 'backbone' not in compare([result(1)], ['old'])


def test_without_the_paper():
    text = compare([result(12.34)], ['ours'], paper=False)
    assert 'paper' not in text


def test_dsl_is_never_raw():
    run = dict(protocol='retrieval', benchmark='LSMDC', metrics=group_metrics(
        {'t2v/R1': 10.0, 'dsl/t2v/R1': 20.0, 'qb/t2v/R1': 15.0}))
    text = compare([run], ['ours'])
    rows = {line.split('|')[1].strip(): line.split('|')[2].strip()
            for line in lines_with(text, 't2v/R1')}
    assert rows == {'t2v/R1': '10.0', 't2v/R1 (DSL)': '20.0', 't2v/R1 (QB)': '15.0'}


def test_other_benchmarks_get_their_own_table():
    text = compare([result(1), result(2, benchmark='Mine')], ['a', 'b'])
    assert 'zero-shot on HMDB51' in text and 'zero-shot on Mine' in text


def test_paper_figures_are_complete():
    assert len(PAPER_FIGURES) == 10
    assert PAPER_FIGURES['retrieval', 'MSR-VTT 1k-A']['TVTSv2 H/14'] == dict(
        raw={'t2v/R1': 38.2, 't2v/R5': 62.4, 't2v/R10': 73.2, 't2v/MdR': 3},
        dsl={'t2v/R1': 41.3, 't2v/R5': 63.0, 't2v/R10': 74.0, 't2v/MdR': 2})


def test_split_counts_come_from_the_preparation_of_this_very_file(tmp_path):
    path = tmp_path / 'test.jsonl'
    path.write_text('{}\n')
    assert describe_split(path, 4, 3) == dict(
        file=str(path), sha256=file_sha256(path), annotated=None, used=3, missing=None, failed=1)
    counts = {'test.jsonl': dict(annotated=9, used=4, missing=5, sha256=file_sha256(path))}
    (tmp_path / 'counts.json').write_text(json.dumps(counts))
    assert describe_split(path, 4, 4)['missing'] == 5
    for text in ('[1]', '{"test.jsonl": 1}', '[' * 10**5,
                 json.dumps({'test.jsonl': dict(sha256=file_sha256(path))})):
        (tmp_path / 'counts.json').write_text(text)
        with pytest.raises(ValueError, match=r'counts\.json is damaged'):
            describe_split(path, 4, 4)
    (tmp_path / 'counts.json').write_text(json.dumps(counts))
    path.write_text('{"changed": 1}\n')
    assert describe_split(path, 4, 4)['missing'] is None


def test_views_and_checkpoint(tmp_path):
    views = describe_views([dict(type='OpenVideo', short_side=268),
                            dict(type='SampleClipFrames', mode='middle', num_clips=4),
                            dict(type='DecodeClip'), dict(type='CropClip', mode='three')])
    assert views == dict(
        frames=12, sampling='middle', spacing='auto', fps=None, clips=4, clip_seconds=None,
        frames_shown='natural', frames_seed=None, crops=3, crop='three', crop_size=224,
        short_side=268, interpolation='nearest', keep_ratio=True, square_pixels=False,
        short_clip='repeat_last')
    views = describe_views([dict(type='OpenVideo', short_side=224, interpolation='fast'),
                            dict(type='SampleClipFrames', fps=2)])
    assert (views['interpolation'], views['spacing'], views['fps']) == ('fast', 'fps', 2)
    # Of MMAction2's transforms.
    views = describe_views([
        dict(type='DecordInit'), dict(type='UniformSample', clip_len=12, num_clips=4),
        dict(type='Resize', scale=(-1, 224)), dict(type='mmaction.ThreeCrop', crop_size=224)])
    assert views == dict(
        frames=12, sampling='UniformSample', spacing=None, clips=4,
        frames_shown='natural', frames_seed=None, crops=3, crop='ThreeCrop', crop_size=224,
        short_side=224, interpolation='bilinear', keep_ratio=True)
    views = describe_views([dict(type='SampleFrames', clip_len=8, frame_interval=2),
                            dict(type='Resize', scale=(224, 224), keep_ratio=False)])
    assert (views['spacing'], views['crop'], views['short_side']) == (2, None, None)
    path = tmp_path / 'model.pth'
    path.write_bytes(b'weights')
    assert describe_checkpoint(str(path), dict(layout='x')) == dict(
        path=str(path), sha256=file_sha256(path), keys=dict(layout='x'))
    # A folder from the hub: the file of weights in it, or an index and all shards.
    folder = tmp_path / 'hub'
    folder.mkdir()
    (folder / 'x.safetensors').write_bytes(b'shard')
    index = folder / 'model.safetensors.index.json'
    index.write_text(json.dumps(dict(weight_map=dict(a='x.safetensors'))))
    first = describe_checkpoint(str(folder), None)['sha256']
    (folder / 'x.safetensors').write_bytes(b'other')
    assert describe_checkpoint(str(folder), None)['sha256'] not in (first, file_sha256(index))
    (folder / 'model.safetensors').write_bytes(b'weights')
    assert describe_checkpoint(str(folder), None)['sha256'] == file_sha256(path)
    assert describe_checkpoint('https://example.org/model.pth', None)['sha256'] is None
    assert describe_checkpoint(None, None) is None


def test_a_config_is_the_same_wherever_its_files_are():
    cfg = dict(model=dict(width=8), work_dir='a', load_from='a.pth')

    def digest(**changes):
        return describe_config(Config(cfg | changes))['sha256']

    assert digest() == digest(work_dir='b', load_from='b.pth')
    # Also of a model whose folder is named within.
    assert len({digest(load_from=folder, model=dict(folder=folder, steps=[f'{folder}/x']))
                for folder in ('a', 'data/b')}) == 1
    assert digest() != digest(model=dict(width=9))


def test_result_file(tmp_path):
    write_result(tmp_path / 'a' / 'result.json', result(1.5))
    assert read_result(tmp_path / 'a' / 'result.json')['metrics'] == dict(raw={'acc/top1': 1.5})
    with pytest.raises(FileNotFoundError, match='result file'):
        read_result(tmp_path / 'none.json')
    for text in ('{"schema": 0}', '[]', 'no', '[' * 10**5, '9' * 5000):
        (tmp_path / 'bad.json').write_text(text)
        with pytest.raises(ValueError, match=r'bad\.json'):
            read_result(tmp_path / 'bad.json')


def peer(top1, **more):
    return result(top1, views=dict(frames=12, sampling='middle', clips=1, crops=1, crop_size=224,
                                   short_side=224, interpolation='bicubic', keep_ratio=True),
                  split=dict(sha256='a' * 64, used=6)) | more


def test_a_line_for_each_system():
    own = dict(peer(50.4)['views'], frames=8, crops=3, short_side=256, keep_ratio=False)
    text = compare([
        peer(50.4, backbone='FramewiseViT',
             normalisation=dict(mean=[127.5] * 3, std=[51, 102, 127.5])),
        peer(52, prompts=['{}'], backbone='transformers.XCLIPModel', protocol_of='X-CLIP',
             views=own),
    ], ['clip', 'xclip'], peers=True)
    head, first, second, *paper = [[cell.strip() for cell in line.split('|')[1:-1]]
                                   for line in text.splitlines() if line.startswith('|')]
    assert head == ['', 'acc/top1', 'protocol of *', 'backbone *', 'frames *', 'clips x crops *',
                    'scaled to *', 'prompts *', 'normalisation *']
    assert first == ['clip', '50.4', '-', 'FramewiseViT', '12 middle', '1 x 1',
                     '224 of 224, bicubic', 'a person {}',
                     '0.500 0.500 0.500 / 0.200 0.400 0.500']
    assert second[2:8] == ['X-CLIP', 'transformers.XCLIPModel', '8 middle', '1 x 3',
                           '224 of 256, bicubic, squeezed', '{}']
    assert [line[:2] for line in paper[:1]] == [['paper: CLIP B/16', '43.2']]
    assert text.endswith('has reproduced them.') and 'not comparable' not in text


def test_systems_that_saw_other_videos_are_not_compared_silently():
    text = compare([peer(1), peer(2, split=dict(sha256='b' * 64, used=5))], ['a', 'b'],
                   peers=True, paper=False)
    assert 'not comparable: split sha256 differs: a aaaaaaaaaaaa, b bbbbbbbbbbbb' in text
    assert 'not comparable: videos used differs: a 6, b 5' in text


def shown(top1, frames=None, low=None, high=None, **more):
    """A run of one model, on other frames where that is said."""
    run = peer(top1, checkpoint=dict(sha256='c' * 64), config=dict(text="model = dict(type='A')"))
    run['views'] = run['views'] | (dict(frames_shown=frames) if frames else {})
    if low is not None:
        run |= dict(intervals=dict(raw={'acc/top1': [low, high]}), chance=dict(raw={'acc/top1': 2}))
    return run | more


def cells(line):
    return [cell.strip() for cell in line.split('|')[1:-1]]


def test_the_drop_stands_beside_the_score():
    text = compare([
        shown(40, 'shuffled', 37, 44), shown(50, 'natural', 46, 53), shown(49.5, 'reversed')],
        ['b', 'a', 'c'], paper=False)
    head, top1 = (cells(line) for line in text.splitlines()[2:5:2])
    assert head == ['', 'a', 'drop shuffled', 'drop reversed', 'chance']
    assert top1 == ['acc/top1', '50.0 [46.0, 53.0]', '10.0 [4.3, 14.2]', '0.5', '2.0']
    [row] = lines_with(text, 'frames_shown')
    assert cells(row) == ['frames_shown', 'natural', '', '', '']
    assert 'differ here' not in text and 'rather too wide' in text and 'no run' not in text


def test_a_run_of_before_has_its_frames_in_order():
    text = compare([shown(50), shown(40, 'single')], ['a', 'b'], paper=False)
    assert cells(text.splitlines()[4]) == ['acc/top1', '50.0', '10.0']
    assert 'brackets' not in text


@pytest.mark.parametrize('more', [
    dict(checkpoint=dict(sha256='d' * 64)), dict(split=dict(sha256='b' * 64, used=6)),
    dict(config=dict(text="model = dict(type='B')")), dict(prompts=['{}']),
    dict(probe=dict(kind='knn', setting='k', chosen=1)), dict(trained_further=True),
    dict(views=peer(0)['views'] | dict(frames_shown='shuffled', clips=4))])
def test_of_other_models_or_videos_no_drop_is_told(more):
    text = compare([shown(50), shown(40, 'shuffled', **more)], ['a', 'b'], paper=False)
    assert cells(text.splitlines()[2]) == ['', 'a', 'b']
    [row] = lines_with(text, '| frames_shown')
    assert cells(row) == ['frames_shown *', 'natural', 'shuffled']
    assert 'b: no run of the same model with its frames in order is beside it' in text


def test_what_else_a_config_says_is_no_other_model():
    """As what a run reads its files with; of seeds the first is the usual one."""
    config = dict(text="train_cfg = None\nmodel = dict(type='A')", sha256='0')
    views = dict(shown(0)['views'], frames_shown='shuffled')
    runs = [shown(40, views=views | dict(frames_seed=seed), config=config) for seed in (0, 7)]
    text = compare([shown(50), *runs], ['a', 'b', 'c'], paper=False)
    assert cells(text.splitlines()[2]) == ['', 'a', 'drop shuffled', 'drop shuffled (seed 7)']


def test_drops_of_systems_and_of_ranks():
    def run(r1, rank, frames='natural'):
        views = dict(peer(0)['views'], frames_shown=frames)
        return shown(0, views=views) | dict(protocol='retrieval', metrics=dict(
            raw={'t2v/R1': r1, 't2v/MdR': rank}, dsl={'t2v/R1': r1 + 1}))

    lines = compare([run(30, 4), run(20, 9, 'constant')], ['a', 'b'], peers=True,
                    paper=False).splitlines()
    assert cells(lines[2])[:4] == ['', 't2v/R1', 't2v/MdR', 't2v/R1 (DSL)']
    assert cells(lines[4])[:4] == ['a', '30.0', '4.0', '31.0']
    assert cells(lines[5])[:4] == ['drop constant', '10.0', '-', '10.0']
    alone = compare([run(20, 9, 'constant')], ['b'], peers=True, paper=False)
    assert '12 middle constant' in alone and 'nothing is known of a drop' in alone
