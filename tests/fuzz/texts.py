"""Targets: annotations, and what converters and benchmarks are read from."""

import gzip
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.cases import Seed, Target
from tests.grey_videos import write_grey_video
from tvtsv2_mm.datasets import CaptionVideoDataset, LabeledVideoDataset, TranscriptVideoDataset
from tvtsv2_mm.datasets.annotations import AnnotationError, check_caption, scan_records
from tvtsv2_mm.datasets.quarantine import Quarantine
from tvtsv2_mm.preparation import benchmarks as b
from tvtsv2_mm.preparation.converters import convert_howto100m, convert_webvid, convert_yt_temporal
from tvtsv2_mm.preparation.converters.asr_json import read_asr_json
from tvtsv2_mm.preparation.converters.report import ConversionReport
from tvtsv2_mm.preparation.converters.subtitles import read_subtitles
from tvtsv2_mm.preparation.converters.transcript_files import convert_transcript_files
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.utils.text_files import read_names

_USER = (ValueError, UserFileError, FileNotFoundError)
_WORDS = [['so', 0.0, 0.4], ['we', 0.5, 0.7], ['go', 0.7, 1.0], ['left', 1.5, 2.25]]


def _lines(*records: Any) -> bytes:
    return b''.join(json.dumps(record, ensure_ascii=False).encode() + b'\n' for record in records)


def _read_data_set(work: Path, kind: type, name: str, **options: Any) -> None:
    data = kind(name, data_root=str(work), data_prefix=dict(video=''), pipeline=[], **options)
    logging.disable()
    for index in range(min(len(data), 20)):
        data[index]


def _read_transcripts(work: Path) -> None:
    _read_data_set(work, TranscriptVideoDataset, 'a.jsonl')
    _read_data_set(work, TranscriptVideoDataset, 'a.jsonl', held_out_by='a.jsonl', test_mode=True)


def _read_captions(work: Path) -> None:
    for _ in scan_records(work / 'a.jsonl', check_caption):
        pass
    _read_data_set(work, CaptionVideoDataset, 'a.jsonl', check_all=False)
    _read_data_set(work, CaptionVideoDataset, 'a.jsonl', test_mode=True)


def _read_quarantine(work: Path) -> None:
    Quarantine(str(work / 'quarantine.jsonl')).check('never')


def _annotation_seeds(content: Sequence[bytes], name: str, _: Path) -> list[Seed]:
    return [Seed({name: own}) for own in content]


_TRANSCRIPTS = [
    _lines(dict(path='a.mp4', duration=3.0, words=_WORDS, id='a', meta={'source': 'x'}),
           dict(path='b/ü.mp4', duration=2, segments=[['go left', 0, 2]]),
           dict(path='c.mp4', duration=2.5, segments=[['a', 0, 1], ['b', 1, 2.5]])),
    b'\xef\xbb\xbf' + _lines(*(dict(path=f'{n}.mp4', duration=3, words=_WORDS) for n in range(6)))]
_CAPTIONS = [
    _lines(dict(path='a.mp4', captions=['a dog', 'a hound'], duration=3.0, id='1', meta={}),
           dict(path='a.mp4', captions=['x', 'y'], answer=1, start=0.5, end=2),
           dict(path='c.mp4', captions=['e']))]
_LABELS = [b'a.mp4 0\nfolder/b c.mp4 12\n\nd.avi\t3\n']
_QUARANTINE = [_lines(dict(path='a.mp4', reason='the file is empty'), dict(path='b', reason='no'))]


# --- converters -----------------------------------------------------------------------------------

def _video(folder: Path) -> bytes:
    return Path(write_grey_video(folder / 'v.mp4', num_frames=6, fps=2, size=(16, 16))).read_bytes()


def _converted(report: ConversionReport) -> None:
    """Whatever a record is, its drop has a reason of its own."""
    for reason in report.reasons:
        if reason.startswith('the converter fails on it'):
            raise AssertionError(report.dropped_list.read_text('utf-8')[:300])
    report.summary()
    if not report.num_written:
        names = ', '.join(path.name for path in report.output.parents[1].rglob('*'))
        raise ValueError(f'all was dropped of {names}')


def _convert_beside(work: Path, read: Callable, patterns: Sequence[str]) -> None:
    _converted(convert_transcript_files(
        read, work / 'out/a.jsonl', patterns=patterns, videos=work / 'videos'))


def _beside_seeds(texts: dict[str, bytes], folder: Path) -> list[Seed]:
    video = {'videos/v.mp4': _video(folder)}
    return [Seed({f'videos/v{Path(name).suffix}': text}, video) for name, text in texts.items()]


_WHISPER = dict(text=' Go left.', language='en', segments=[
    dict(id=0, start=0.5, end=1.25, text=' Go left.', words=[
        dict(word=' Go', start=0.5, end=0.8), dict(word=' left.', start=0.8, end=1.25)]),
    dict(id=1, start=1.5, end=2.5, text=' at 14', words=[dict(word='at', start=1.5, end=2),
                                                         dict(word='14')])])
_ASR = {f'{name}.json': json.dumps(content).encode() for name, content in dict(
    whisper=_WHISPER, segments=dict(segments=[dict(start=0.0, end=2.0, text=' Go left.')]),
    word_segments=dict(segments=[], word_segments=[dict(word='go', start=0, end=1)]),
    chunks=dict(text='go', chunks=[dict(text=' go on', timestamp=[0.0, 1.0]),
                                   dict(text=' left', timestamp=[1.0, None])]),
    youtube=[dict(text='go left', start=0.0, duration=1.5), dict(text='so', start=2, duration=1)],
    vosk=[dict(result=[dict(word='go', start=0.1, end=0.4, conf=1.0)], text='go'),
          dict(text='left')],
    assemblyai=dict(status='completed', audio_duration=3, words=[
        dict(text='go', start=100, end=400), dict(text='left', start=500, end=900)])).items()}
_SUBTITLES = {
    'a.srt': b'1\n00:00:00,500 --> 00:00:01,500\nGo <i>left</i>.\n\n2\n00:00:01,500 --> '
             b'00:00:02,500\n- Stop\n- Why: {\\an8}so\n\n',
    'a.vtt': b'WEBVTT\nKind: captions\n\nNOTE x\n\n1\n00:00.000 --> 00:02.000 align:start\n'
             b'so<00:00:00.500><c> it</c><00:00:01.000><c> is</c>\n\n00:01.500 --> 00:02.500\n'
             b'so it is\n<c.yellow>well</c><br>then\n',
    'b.srt': b'1\n0:0:0,0 --> 0:0:1,0\n<font color="#ff0000">Go</font> left\n\n2\n0:0:1,0 --> '
             b'0:0:2,0\nGo <font color="#ff0000">left</font>\n'}
_YT = dict(info=dict(id='v', duration=3, title='A'), subtitles=[
    dict(word='&gt;&gt;', time=0.0), dict(word='so', time=0.1), dict(word='caf\u00c3\u00a9',
                                                                     time=0.3)],
    denoised=[dict(noisyasr='so', cleanasr='So we'), dict(noisyasr='x', cleanasr='café.')])


def _yt_seeds(folder: Path) -> list[Seed]:
    video, line = {'videos/v.mp4': _video(folder)}, _lines(_YT)
    without = {**_YT, 'info': dict(id='v'), 'denoised': None}
    files = {'v.json': line, 'v.jsonl': line + _lines(without), 'v.jsonl.gz': gzip.compress(line)}
    return [Seed({f'json/{name}': content}, video) for name, content in files.items()]


def _convert_yt(work: Path) -> None:
    _converted(convert_yt_temporal([work / 'json'], work / 'out/a.jsonl', videos=work / 'videos'))


def _howto_seeds(folder: Path) -> list[Seed]:
    video = {'videos/v.mp4': _video(folder)}
    listed = b'video_id,category_1,rank\nv,Hobbies,1\nw,"Food, etc",2\n'
    rows = b'video_id,start,end,text\nv,0,1.5,"go, left"\nv,0:00:01.5,2.5,stop\nw,0,,x\n'
    captions = dict(v=dict(start=[0, 1.2], end=[2.4, 2.5], text=['red', 'ball']),
                    w=dict(start=[0], end=[1], text=['x']))
    return [Seed({'captions.json': json.dumps(captions).encode(), 'list.csv': listed}, video),
            Seed({'captions.csv': rows, 'list.csv': listed}, video),
            Seed({'captions/v.csv': rows}, {**video, 'list.csv': listed})]


def _convert_howto(work: Path) -> None:
    captions = next((path for path in sorted(work.glob('captions*'))), None)
    if captions is None:
        raise FileNotFoundError('a file that is gone: captions.json, captions.csv or v.csv')
    listed = work / 'list.csv'
    _converted(convert_howto100m(captions, work / 'out/a.jsonl', videos=work / 'videos',
                                 video_list=listed if listed.is_file() else None))


def _webvid_seeds(folder: Path) -> list[Seed]:
    return [Seed({'a.csv': b'videoid,contentUrl,duration,page_dir,name\n1,http://x/1.mp4,PT00H00M01S,'
                           b'000_050,A dog\n2,http://x/2.mp4,PT1M,000_050,"A ""cat"", two"\n'})]


def _convert_webvid(work: Path) -> None:
    _converted(convert_webvid(work / 'a.csv', work / 'out/a.jsonl'))


# --- benchmarks -----------------------------------------------------------------------------------

def _prepare(work: Path, read: Callable[[Path], Any]) -> None:
    try:
        splits = read(work)
    except _USER as error:  # what prepare says names the annotation file that is written
        assert str(work) in str(error), error
        raise
    if isinstance(splits, tuple):
        splits = splits[0]
    splits = splits if isinstance(splits, list) else [splits]
    b.prepare(splits, videos=work / 'videos', out=work / 'out', allow_missing=True,
              allow_counts=True).summary()


def _benchmark(name: str, files: dict[str, bytes], videos: Sequence[str],
               read: Callable[[Path], Any]) -> Target:
    seeds = [Seed(files, {f'videos/{video}': b'x' for video in videos})]
    return Target(name, partial(_given, seeds), partial(_prepare, read=read), _USER, names=False)


def _given(seeds: list[Seed], _: Path) -> list[Seed]:
    return seeds


def _npy(*names: str) -> bytes:
    from io import BytesIO
    file = BytesIO()
    np.save(file, np.array(names))
    return file.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_OPTIONS = ['Lifting a cup', 'Dropping a cup']


def _own_csv(work: Path) -> Any:
    return b.read_own_csv(work / 'a.csv')


def _own_classes(work: Path) -> Any:
    return b.read_own_csv(work / 'a.csv', classes=work / 'classes.txt')


def _vinoground(work: Path) -> Any:
    return b.read_vinoground(work / 'a.csv')


def _cia(work: Path) -> Any:
    return b.read_cia(work / 'a.csv', 'epic')


def _test_of_time(work: Path) -> Any:
    return b.read_test_of_time(work / 'a.csv')


def _rtime(work: Path) -> Any:
    return b.read_rtime(work / 'a.json')


def _msrvtt(work: Path) -> Any:
    return b.read_msrvtt(work / 'a.csv', train=[work / 'train.json'], train_list=work / '9k.csv')


def _didemo(work: Path) -> Any:
    return b.read_didemo(work / 'a.json')


def _lsmdc(work: Path) -> Any:
    return b.read_lsmdc(work / 'a.csv')


def _msvd(work: Path) -> Any:
    return b.read_msvd(work / 'a.txt', work / 'list.txt')


def _vatex(work: Path) -> Any:
    return b.read_vatex(work / 'a.json', work / 'list.npy')


def _activitynet(work: Path) -> Any:
    return b.read_activitynet(work / 'a.json')


def _hmdb(work: Path) -> Any:
    return b.read_hmdb51(work / 'lists')


def _ucf(work: Path) -> Any:
    return b.read_ucf101(work / 'lists')


def _kinetics(work: Path) -> Any:
    return b.read_kinetics('kinetics400', {'val': work / 'a.csv'})


def _ssv2_mc(work: Path) -> Any:
    return b.read_ssv2_mc(work / 'a.json', work / 'validation.json')


def _ssv2_retrieval(work: Path) -> Any:
    return b.read_ssv2_retrieval(work / 'a.json', 'template')


def _ssv2_temporal(work: Path) -> Any:
    return b.read_ssv2_temporal(work / 'a.csv')


def _class_list(work: Path) -> Any:
    return read_names(work / 'classes.txt')


_HMDB = [Seed({'lists/brush_hair_test_split1.txt': b'a.avi 1 \nb.avi 2 \nc.avi 0 \n'}, {
    'videos/brush_hair/a.avi': b'x', 'videos/brush_hair/b.avi': b'x',
    **{f'lists/{name}_test_split1.txt': b'z.avi 0\n'
       for name in b.official_class_names('hmdb51')[1:]}})]
_UCF = [Seed({'lists/trainlist01.txt': b'ApplyEyeMakeup/a.avi 1\n',
              'lists/testlist01.txt': b'ApplyEyeMakeup/b.avi\n',
              'lists/classInd.txt': ''.join(f'{number} {name}\n' for number, name in enumerate(
                  b.official_class_names('ucf101'), 1)).encode()},
             {'videos/ApplyEyeMakeup/a.avi': b'x', 'videos/ApplyEyeMakeup/b.avi': b'x'})]
_SAMPLE = dict(videos=[dict(video_id='video1', split='train')],
               sentences=[dict(video_id='video1', caption='first'),
                          dict(video_id='video1', caption='second')])

TARGETS = [
    Target('annotations_transcripts', partial(_annotation_seeds, _TRANSCRIPTS, 'a.jsonl'),
           _read_transcripts, (AnnotationError, FileNotFoundError)),
    Target('annotations_captions', partial(_annotation_seeds, _CAPTIONS, 'a.jsonl'),
           _read_captions, (AnnotationError, FileNotFoundError)),
    Target('annotations_labels', partial(_annotation_seeds, _LABELS, 'a.txt'),
           partial(_read_data_set, kind=LabeledVideoDataset, name='a.txt'),
           (AnnotationError, FileNotFoundError)),
    Target('quarantine', partial(_annotation_seeds, _QUARANTINE, 'quarantine.jsonl'),
           _read_quarantine, _USER),
    Target('converter_asr_json', partial(_beside_seeds, _ASR), partial(
        _convert_beside, read=read_asr_json, patterns=('*.json', )), _USER),
    Target('converter_subtitles', partial(_beside_seeds, _SUBTITLES), partial(
        _convert_beside, read=read_subtitles, patterns=('*.vtt', '*.srt')), _USER),
    Target('converter_yt_temporal', _yt_seeds, _convert_yt, _USER),
    Target('converter_howto100m', _howto_seeds, _convert_howto, _USER),
    Target('converter_webvid', _webvid_seeds, _convert_webvid, _USER),
    _benchmark('benchmark_own_csv', {'a.csv': b'path,label,split\na.mp4,run,train\nb/c.mp4,"sit, '
               b'down",test\n'}, ['a.mp4', 'b/c.mp4'], _own_csv),
    _benchmark('benchmark_own_classes', {'a.csv': b'path,label\na.mp4,0\nb.mp4,sit\n',
                                         'classes.txt': b'run\nsit\n'}, ['a.mp4', 'b.mp4'],
               _own_classes),
    _benchmark('benchmark_vinoground', {'a.csv': b'index,pos_cap,neg_cap\n0,a then b,b then a\n'},
               ['0_pos.mp4', '0_neg.mp4'], _vinoground),
    _benchmark('benchmark_cia', {'a.csv': b'id,chiral_triplet_id,chiral_label,template\n1,3,0,open'
               b'\n2,3,1,close\n'}, ['1.mp4', '2.mp4'], _cia),
    _benchmark('benchmark_test_of_time', {'a.csv': b'video_id,sentence\n1.mp4,A red before a blue\n'
               }, ['1.mp4'], _test_of_time),
    _benchmark('benchmark_rtime', {'a.json': _json(dict(v=dict(
        forward_captions=['opens', 'x'], reverse_captions=['shuts'])))},
        ['v.mp4', 'v-reverse.mp4'], _rtime),
    _benchmark('benchmark_msrvtt', {
        'a.csv': b'key,vid_key,video_id,sentence\nret0,msr9,video9,"a man, a dog"\n',
        'train.json': _json(_SAMPLE), '9k.csv': b'video_id\nvideo1\n'}, ['video9.mp4'], _msrvtt),
    _benchmark('benchmark_didemo', {'a.json': _json([
        dict(video='1.mov', description='A dog.', times=[[0, 0]]),
        dict(video='1.mp4', description='barks')])}, ['1.mp4'], _didemo),
    _benchmark('benchmark_lsmdc', {'a.csv': b'1_J_0.0-0.2\t0\t0\t0\t0\tSOMEONE "hi".\n'},
               ['1_J_0.0-0.2.avi'], _lsmdc),
    _benchmark('benchmark_msvd', {'a.txt': b'# x\nv1 a cat\nv1 a pet\nv2 a dog\n',
                                  'list.txt': b'v1\nv2\n'}, ['v1.avi', 'v2.avi'], _msvd),
    _benchmark('benchmark_vatex', {'a.json': _json([dict(videoID='v1', enCap=['a', 'b'])]),
                                   'list.npy': _npy('v1')}, ['v1.mp4'], _vatex),
    _benchmark('benchmark_activitynet', {'a.json': _json(dict(v_1=dict(
        duration=3.0, timestamps=[[0, 1]], sentences=['A man.', ' He runs.'])))}, ['v_1.mp4'],
        _activitynet),
    Target('benchmark_hmdb51', partial(_given, _HMDB), partial(_prepare, read=_hmdb), _USER,
           names=False),
    Target('benchmark_ucf101', partial(_given, _UCF), partial(_prepare, read=_ucf), _USER,
           names=False),
    _benchmark('benchmark_kinetics', {'a.csv': b'label,youtube_id,time_start,time_end,split\n'
               b'abseiling,xyz,3,13,val\n'}, ['abseiling/xyz_000003_000013.mp4'], _kinetics),
    _benchmark('benchmark_ssv2_mc', {
        'a.json': _json([dict(clip_name='12.webm', options=_OPTIONS, answer=1)]),
        'validation.json': _json([dict(id='12', label='dropping a cup', template='Dropping [x]',
                                       placeholders=['a cup'])])}, ['12.webm'], _ssv2_mc),
    _benchmark('benchmark_ssv2_retrieval', {'a.json': _json([
        dict(caption='Lifting [x]', video=['1.webm', '2.webm'])])}, ['1.webm', '2.webm'],
        _ssv2_retrieval),
    _benchmark('benchmark_ssv2_temporal', {'a.csv': b'video_id,text,dataset\n1,"Lifting [x], up",'
               b'ssv2\n2,run,kinetics\n'}, ['1.webm'], _ssv2_temporal),
    Target('class_names', partial(_annotation_seeds, [b'run\nsit down\n'], 'classes.txt'),
           _class_list, _USER),
]
