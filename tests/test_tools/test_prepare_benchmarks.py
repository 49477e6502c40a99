"""The scripts of tools/data/<benchmark>/, on small inputs in the official layout."""

import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from tvtsv2_mm.datasets.annotations import load_captions, load_labels
from tvtsv2_mm.preparation.benchmarks import class_names, official_class_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def prepare(monkeypatch, tmp_path):
    """Call a script as a command line would, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(name, *words):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, words)])
        [script] = (ROOT / 'tools' / 'data').rglob(f'{name}.py')
        runpy.run_path(str(script), run_name='__main__')

    return call


def read_by(config):
    """The annotation file that a config of B/16 tests on, which must be there."""
    data = Config.fromfile(ROOT / 'configs' / 'tvtsv2' / f'vit-b16_{config}.py')
    dataset = data.test_dataloader.dataset
    path = Path(dataset.data_root, dataset.ann_file)
    bank = data.test_evaluator.get('query_bank')
    assert path.is_file() and (bank is None or Path(bank).is_file())
    return str(path)


def write(name, text=''):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding='utf-8')
    return name


def test_hmdb51(prepare, capsys):
    for name in official_class_names('hmdb51'):
        write(f'splits/{name}_test_split1.txt', f'{name}_0.avi 1 \n{name}_1.avi 2 \n')
        for number in (0, 1):
            write(f'data/hmdb51/videos/{name}/{name}_{number}.avi')
    with pytest.raises(SystemExit, match='names 51 videos, the official one 3570'):
        prepare('prepare_hmdb51', 'splits')
    prepare('prepare_hmdb51', 'splits', '--allow-counts')
    assert 'test_split1.txt: 51 of 51 videos' in capsys.readouterr().out
    labels = load_labels('data/hmdb51/annotations/test_split1.txt')
    assert labels[:2] == [('brush_hair/brush_hair_1.avi', 0), ('cartwheel/cartwheel_1.avi', 1)]
    names = Path('data/hmdb51/classes.txt')
    assert names.read_text().splitlines() == class_names('hmdb51')
    prepare('prepare_hmdb51', 'splits', '--allow-counts', '--names', 'official')
    assert names.read_text().splitlines() == official_class_names('hmdb51')


def test_ucf101(prepare):
    write('splits/classInd.txt', ''.join(
        f'{i} {name}\n' for i, name in enumerate(official_class_names('ucf101'), 1)))
    write('splits/trainlist02.txt', 'Archery/v_Archery_g01_c01.avi 3\n')
    write('splits/testlist02.txt', 'Archery/v_Archery_g09_c01.avi\n')
    for group in ('01', '09'):
        write(f'elsewhere/v_Archery_g{group}_c01.mp4')
    prepare('prepare_ucf101', 'splits', '--split', 2, '--videos', 'elsewhere', '--out', 'made',
            '--allow-counts')
    assert load_labels('made/annotations/test_split2.txt') == [('v_Archery_g09_c01.mp4', 2)]


def test_kinetics400_without_some_videos(prepare, capsys):
    write('val.csv', 'label,youtube_id,time_start,time_end,split\n'
                     'using segway,R6llTwEh07w,56,66,validate\nyoga,gone,1,11,validate\n')
    write('data/kinetics400/videos/val/using segway/R6llTwEh07w_000056_000066.mp4')
    with pytest.raises(SystemExit, match=r'1 of 2 videos of val\.txt .*--allow-missing'):
        prepare('prepare_kinetics400', '--val', 'val.csv', '--allow-counts')
    prepare('prepare_kinetics400', '--val', 'val.csv', '--allow-counts', '--allow-missing')
    assert '1 missing: ' in capsys.readouterr().out
    assert load_labels('data/kinetics400/annotations/val.txt') == [
        ('val/using segway/R6llTwEh07w_000056_000066.mp4', 375)]
    missing = Path('data/kinetics400/annotations/val.txt.missing.tsv').read_text()
    assert missing.startswith('gone_000001_000011\t')
    with pytest.raises(SystemExit) as stop:
        prepare('prepare_kinetics400')
    assert stop.value.code == 2


@pytest.mark.parametrize(('classes', 'number'), [(600, 309), (700, 355)])
def test_other_kinetics(prepare, classes, number):
    label = 'passing american football (not in game)'
    write('val.csv', f'label,youtube_id,time_start,time_end,split\n{label},R6llTwEh07w,56,66,val\n')
    write(f'data/kinetics{classes}/videos/R6llTwEh07w_000056_000066.mp4')
    prepare(f'prepare_kinetics{classes}', '--val', 'val.csv')
    assert load_labels(read_by(f'zero-shot_kinetics{classes}')) == [
        ('R6llTwEh07w_000056_000066.mp4', number)]
    names = Path(f'data/kinetics{classes}/classes.txt').read_text().splitlines()
    assert len(names) == classes
    assert names[number] == 'passing American football outside a game'
    write('val.csv', 'label,youtube_id,time_start,time_end\nflying,R6llTwEh07w,56,66\n')
    with pytest.raises(SystemExit, match=f"line 2: 'flying' is no class of Kinetics-{classes}"):
        prepare(f'prepare_kinetics{classes}', '--val', 'val.csv')


def test_ssv2_mc(prepare, capsys):
    write('val.jsonl', json.dumps(dict(clip_name='74225.webm', options=['a', 'b'], answer=1)))
    write('validation.json', json.dumps([dict(id='74225', label='b', template='[B]')]))
    write('data/ssv2_mc/videos/74225.webm')
    prepare('prepare_ssv2_mc', 'val.jsonl', '--validation', 'validation.json')
    out = capsys.readouterr().out
    assert '1 clips: 1 with 2 candidates' in out
    assert 'the right candidate is the official label of 1' in out
    assert load_captions('data/ssv2_mc/annotations/test.jsonl') == [
        {'path': '74225.webm', 'id': '74225', 'captions': ['a', 'b'], 'answer': 1}]


def test_msrvtt_at_full_size(prepare, capsys):
    numbers = range(9000, 10000)
    with open(write('test.csv'), 'w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['key', 'vid_key', 'video_id', 'sentence'])
        rows.writerows((f'ret{n}', f'msr{n}', f'video{n}', f'sentence, {n}') for n in numbers)
    for n in numbers:
        write(f'data/msrvtt/videos/all/video{n}.mp4')
    prepare('prepare_msrvtt', 'test.csv')
    assert 'test.jsonl: 1000 of 1000 videos' in capsys.readouterr().out
    records = load_captions('data/msrvtt/annotations/test.jsonl')
    assert records[999] == {'path': 'all/video9999.mp4', 'id': 'video9999',
                            'captions': ['sentence, 9999']}

    write('info.json', json.dumps(dict(
        videos=[dict(video_id=f'video{n}', split='train') for n in range(6513)],
        sentences=[dict(video_id=f'video{n}', caption=f'{n}, {i}')
                   for n in range(6513) for i in range(2)])))
    prepare('prepare_msrvtt', 'test.csv', '--train', 'info.json')
    assert 'train.jsonl: 0 of 6513 videos; all 13026 captions' in capsys.readouterr().out
    records = load_captions('data/msrvtt/annotations/train.jsonl')
    assert records[1] == {'path': 'video1', 'id': 'video1', 'captions': ['1, 0', '1, 1']}


def test_didemo(prepare):
    write('val_data.json', json.dumps([dict(video='1@N0_2.mts', description='a'),
                                       dict(video='1@N0_2.mts', description='b'),
                                       dict(video='3@N0_4.', description='c')]))
    for name in ('test', 'train'):
        write(f'{name}_data.json', json.dumps([dict(video=f'{name}.mov', description=name)]))
    for name in ('1@N0_2.mts', '3@N0_4.', 'test.mov.mp4'):
        write(f'data/didemo/videos/{name}')
    prepare('prepare_didemo', 'test_data.json', '--val', 'val_data.json', '--train',
            'train_data.json', '--allow-counts')
    found = {part: [(record['path'], record['captions'])
                    for record in load_captions(f'data/didemo/annotations/{part}.jsonl')]
             for part in ('test', 'val', 'train')}
    assert found == dict(test=[('test.mov.mp4', ['test'])],
                         val=[('1@N0_2.mts', ['a b']), ('3@N0_4.', ['c'])],
                         train=[('train', ['train'])])


def test_lsmdc(prepare):
    clip = '0014_Ist_das_Leben_nicht_schoen_00.54.25.560-00.54.29.820'
    write('test.csv', f'{clip}\t1\t2\t1\t2\tSomeone sits.\n')
    write(f'data/lsmdc/videos/{clip[:31]}/{clip}.avi')
    write('train.csv', 'Other_00.1-00.2\t1\t2\t1\t2\tSomeone stands.\n')
    prepare('prepare_lsmdc', 'test.csv', '--train', 'train.csv', '--allow-counts')
    [record] = load_captions('data/lsmdc/annotations/test.jsonl')
    assert record['path'] == f'0014_Ist_das_Leben_nicht_schoen/{clip}.avi'
    assert record['captions'] == ['Someone sits.']
    [record] = load_captions('data/lsmdc/annotations/train.jsonl')
    assert record['captions'] == ['Someone stands.']


def test_vinoground(prepare):
    write('vinoground.csv', 'index,major,pos_vid,pos_cap,neg_vid,neg_cap\n'
                            '0,action,x,a cat eats before it sleeps,y,a cat sleeps before it eats\n'
                            '1,object,x,"water, then ice",y,"ice, then water"\n')
    for name in ('0_pos', '0_neg', '1_pos'):
        write(f'data/vinoground/videos/vinoground_videos/{name}.mp4')
    write('data/vinoground/videos/vinoground_videos_concated/0.mp4')
    options = ('vinoground.csv', '--allow-counts')
    with pytest.raises(SystemExit, match=r'1 of 4 videos of test\.jsonl are not under'):
        prepare('prepare_vinoground', *options)
    write('data/vinoground/videos/vinoground_videos/1_neg.mp4')
    with pytest.raises(SystemExit, match='names 4 videos, the official one 1000'):
        prepare('prepare_vinoground', 'vinoground.csv')
    prepare('prepare_vinoground', *options)
    records = load_captions(read_by('paired_vinoground'))
    assert [(record['id'], record['answer']) for record in records] == [
        ('0_pos', 0), ('0_neg', 1), ('1_pos', 0), ('1_neg', 1)]
    assert records[0]['captions'] == records[1]['captions'] == [
        'a cat eats before it sleeps', 'a cat sleeps before it eats']
    assert records[3] == {'path': 'vinoground_videos/1_neg.mp4', 'id': '1_neg',
                          'captions': ['water, then ice', 'ice, then water'], 'answer': 1}


CIA = ('id,label,template,target,chiral_label,chiral_triplet_id,noun\n'
       '1,moving pen up,Moving [something] up,114,0.0,3f,pen\n'
       '2,moving cup down,Moving [something] down,112,1.0,3f,cup\n'
       '2,moving cup down,Moving [something] down,112,1.0,3f,cup\n'
       '3,folding mat,Folding [something],46,1.0,12,mat\n'
       '4,unfolding mat,Unfolding [something],82,0.0,12,mat\n')


def test_cia(prepare):
    write('cia.csv', CIA)
    for name in '1234':
        write(f'data/cia_ssv2/videos/{name}.webm')
    with pytest.raises(SystemExit, match='names 4 videos, the official one 1430'):
        prepare('prepare_cia', 'cia.csv', '--part', 'ssv2')
    prepare('prepare_cia', 'cia.csv', '--part', 'ssv2', '--allow-counts')
    up, down, fold, unfold = (f'{verb} [something]{way}' for verb, way in (
        ('Moving', ' up'), ('Moving', ' down'), ('Folding', ''), ('Unfolding', '')))
    found = {name: [(record['path'], record['captions'], record['answer'])
                    for record in load_captions(f'data/cia_ssv2/annotations/{name}.jsonl')]
             for name in ('test', 'static', 'all')}
    assert read_by('paired_cia-ssv2') == 'data/cia_ssv2/annotations/test.jsonl'
    assert found['test'] == [('1.webm', [up, down], 0), ('2.webm', [up, down], 1),
                             ('3.webm', [unfold, fold], 1), ('4.webm', [unfold, fold], 0)]
    assert found['static'] == [('1.webm', [unfold, up], 1), ('2.webm', [fold, down], 1),
                               ('3.webm', [fold, down], 0), ('4.webm', [unfold, up], 0)]
    assert found['all'] == [(f'{i + 1}.webm', [unfold, fold, up, down], answer)
                            for i, answer in enumerate((2, 3, 1, 0))]


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('82,0.0', '82,0.5', r'line 6: .* must be texts and 0 or 1, found .*0\.5'),
    ('2,moving cup down,Moving [something] down', '2,moving cup down,Lowering [something]',
     r"line 4: 'Moving \[something\] down' is the action .* was 'Lowering \[something\]' before"),
    ('112,1.0,3f,cup\n3', '112,1.0,3g,cup\n3', '1 groups, 3g, have one action'),
    ('1,moving pen up', '2,moving pen up', r'test\.jsonl: the annotation names 2 2 times')])
def test_cia_errors(prepare, old, new, message):
    assert old in CIA
    write('cia.csv', CIA.replace(old, new, 1))
    for name in '1234':
        write(f'made/videos/{name}.webm')
    with pytest.raises(SystemExit, match=message):
        prepare('prepare_cia', 'cia.csv', '--part', 'epic', '--out', 'made')


def test_test_of_time(prepare):
    write('test.csv', 'video_id,sentence,end_time\n'
                      'red_before_blue,A red circle appears before a blue circle appears,2\n'
                      'blue_before_red,A blue circle appears before a red circle appears,2\n'
                      'red_after_blue.mp4,A red circle appears after a blue circle appears,2\n')
    for name in ('red_before_blue', 'blue_before_red', 'red_after_blue'):
        write(f'data/test_of_time/videos/{name}.mp4')
    prepare('prepare_test_of_time', 'test.csv')
    records = load_captions(read_by('paired_test-of-time'))
    red, blue = (f'a {colour} circle appears' for colour in ('red', 'blue'))
    before = [f'{blue} before {red}', f'{red} before {blue}']
    assert [(record['captions'], record['answer']) for record in records] == [
        (before, 1), (before, 0), ([f'{blue} after {red}', f'{red} after {blue}'], 1)]
    for sentence in ('a circle appears', 'a before b before c', 'a before b after c'):
        write('wrong.csv', f'video_id,sentence\nx,{sentence}\n')
        with pytest.raises(SystemExit, match=r'line 2: expected "X before Y" or "X after Y"'):
            prepare('prepare_test_of_time', 'wrong.csv')


def test_rtime(prepare):
    record = dict(temporal=True, reverse=True, forward_captions=['It opens.'],
                  reverse_captions=['It closes.'], forward_rewrites=['It is opened.'], url='x')
    write('test.json', json.dumps({'331': record}))
    for name in ('331', '331-reverse'):
        write(f'data/rtime/videos/{name}.mp4')
    with pytest.raises(SystemExit, match='names 2 videos, the official one 2000'):
        prepare('prepare_rtime', 'test.json')
    prepare('prepare_rtime', 'test.json', '--allow-counts')
    found = {name: [(record['path'], record['captions'], record.get('answer'))
                    for record in load_captions(f'data/rtime/annotations/{name}.jsonl')]
             for name in ('test', 'hard', 'origin')}
    assert [read_by(name).rpartition('/')[2] for name in (
        'paired_rtime', 'retrieval_rtime-hard')] == ['test.jsonl', 'hard.jsonl']
    both = ['It opens.', 'It closes.']
    assert found == dict(
        test=[('331.mp4', both, 0), ('331-reverse.mp4', both, 1)],
        hard=[('331.mp4', both[:1], None), ('331-reverse.mp4', both[1:], None)],
        origin=[('331.mp4', both[:1], None)])
    for wrong in ({'331': dict(record, reverse_captions=[])}, {'331': []}, [record]):
        write('wrong.json', json.dumps(wrong))
        with pytest.raises(SystemExit, match=r'331 needs forward_captions|an object is needed'):
            prepare('prepare_rtime', 'wrong.json')


def test_ssv2_retrieval(prepare):
    write('template.json', json.dumps([
        dict(video=['62211.webm', '63095.webm'], caption='Spinning [something] that stops'),
        dict(image='ssv2/7.webm', caption='Moving [something] up')]))
    write('label.json', json.dumps([dict(video=['7.webm'], caption='moving a pen up')]))
    write('temporal.csv', ',index,video_id,text,dataset\n'
                          '4,2561,7,Moving [something] up,SSv2\n'
                          '9,2281,cartwheeling/RU_000007_000017,cartwheeling,kinetics\n')
    for name in ('62211', '63095', '7'):
        write(f'data/ssv2_retrieval/videos/{name}.webm')
    with pytest.raises(SystemExit, match=r'template.* names 3 videos, the official one 2088'):
        prepare('prepare_ssv2_retrieval', '--template', 'template.json')
    with pytest.raises(SystemExit, match=r'temporal.* names 1 videos, the official one 864'):
        prepare('prepare_ssv2_retrieval', '--temporal', 'temporal.csv')
    prepare('prepare_ssv2_retrieval', '--template', 'template.json', '--label', 'label.json',
            '--temporal', 'temporal.csv', '--allow-counts')
    found = {name: [(record['path'], record['captions']) for record in load_captions(
        f'data/ssv2_retrieval/annotations/{name}.jsonl')]
        for name in ('template', 'label', 'temporal')}
    assert found == dict(
        template=[('62211.webm', ['Spinning something that stops']),
                  ('63095.webm', ['Spinning something that stops']),
                  ('7.webm', ['Moving something up'])],
        label=[('7.webm', ['moving a pen up'])], temporal=[('7.webm', ['Moving something up'])])
    assert [read_by(f'retrieval_ssv2-{name}').rpartition('/')[2] for name in (
        'template', 'temporal')] == ['template.jsonl', 'temporal.jsonl']
    for wrong in ({}, [[]], [dict(video=[1], caption='x')], [dict(video='1.webm')]):
        write('wrong.json', json.dumps(wrong))
        with pytest.raises(SystemExit, match=r'a list of objects|record 0 must have a caption'):
            prepare('prepare_ssv2_retrieval', '--label', 'wrong.json')
    with pytest.raises(SystemExit) as stop:
        prepare('prepare_ssv2_retrieval')
    assert stop.value.code == 2


def captions_of(benchmark):
    """Paths and captions of both files."""
    assert read_by(f'retrieval_{benchmark}') == f'data/{benchmark}/annotations/test.jsonl'
    return {part: [(record['path'], record['captions']) for record in load_captions(
        f'data/{benchmark}/annotations/{part}.jsonl')] for part in ('test', 'train')}


def test_msvd(prepare):
    write('all.txt', '# Video descriptions\n\nb_1_2 A cat eats.\na_3_4 a man runs\n'
                     'b_1_2 the cat is eating\nc_5_6 snow\n')
    write('test_list.txt', 'b_1_2\n')
    write('train_list.txt', 'c_5_6\na_3_4\n')
    write('data/msvd/videos/b_1_2.avi')
    words = ('all.txt', 'test_list.txt', '--train-list', 'train_list.txt')
    with pytest.raises(SystemExit, match='names 1 videos, the official one 670'):
        prepare('prepare_msvd', *words)
    prepare('prepare_msvd', *words, '--allow-counts')
    assert captions_of('msvd') == dict(
        test=[('b_1_2.avi', ['A cat eats.', 'the cat is eating'])],
        train=[('c_5_6', ['snow']), ('a_3_4', ['a man runs'])])
    write('test_list.txt', 'b_1_2\nd_7_8\n')
    with pytest.raises(SystemExit, match='no sentence of 1 clips of the list of the test, d_7_8'):
        prepare('prepare_msvd', *words)
    write('all.txt', 'b_1_2\n')
    with pytest.raises(SystemExit, match="line 1: a clip and a sentence are needed, found 'b_1_2'"):
        prepare('prepare_msvd', *words)


@pytest.mark.parametrize('kind', ['npy', 'txt'])
def test_vatex(prepare, kind):
    clips = ['G9zN5TTuGO4_000179_000189', 'x9zN5TTuGO4_000001_000011']
    write('val.json', json.dumps([dict(videoID=clip, enCap=[f'{i}', 'b'], chCap=['c'])
                                  for i, clip in enumerate(clips)]))
    write('train.json', json.dumps([dict(videoID='y_000001_000011', enCap=['d'])]))
    np.save('list.npy', np.array(clips[1:]))
    write('list.txt', f'{clips[1]}\n')
    write(f'data/vatex/videos/{clips[1]}.mp4')
    words = ('val.json', f'list.{kind}', '--train', 'train.json')
    with pytest.raises(SystemExit, match='names 1 videos, the official one 1500'):
        prepare('prepare_vatex', *words)
    prepare('prepare_vatex', *words, '--allow-counts')
    assert captions_of('vatex') == dict(test=[(f'{clips[1]}.mp4', ['1', 'b'])],
                                        train=[('y_000001_000011', ['d'])])
    np.save('list.npy', np.array(clips, dtype=object))
    if kind == 'npy':
        with pytest.raises(SystemExit, match='array of names, without Python objects'):
            prepare('prepare_vatex', *words)
    write('val.json', json.dumps([dict(videoID=clips[1], enCap='a')]))
    with pytest.raises(SystemExit, match=r'record 0, x9.* must have enCap, a list of texts'):
        prepare('prepare_vatex', *words)


def test_activitynet(prepare):
    record = dict(duration=82.7, timestamps=[[0.8, 19.9], [17.4, 60.8]],
                  sentences=['A woman sits. ', ' She then runs.'])
    write('val_1.json', json.dumps({'v_a': record}))
    write('train.json', json.dumps({'v_b': dict(record, sentences=['A dog.'])}))
    write('data/activitynet/videos/v_a.mkv')
    words = ('val_1.json', '--train', 'train.json')
    with pytest.raises(SystemExit, match='names 1 videos, the official one 4917'):
        prepare('prepare_activitynet', *words)
    prepare('prepare_activitynet', *words, '--allow-counts')
    assert captions_of('activitynet') == dict(
        test=[('v_a.mkv', ['A woman sits. She then runs.'])], train=[('v_b', ['A dog.'])])
    for wrong in ([record], {'v_a': []}, {'v_a': dict(sentences='A dog.')}):
        write('val_1.json', json.dumps(wrong))
        with pytest.raises(SystemExit, match=r'an object is needed|v_a must have sentences'):
            prepare('prepare_activitynet', *words)
