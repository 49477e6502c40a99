import json

import pytest

from tvtsv2_mm.datasets import CaptionVideoDataset, TranscriptVideoDataset
from tvtsv2_mm.datasets.annotations import AnnotationError
from tvtsv2_mm.datasets.held_out import held_out_below, place_of

SEGMENTS = dict(type='SampleTranscriptSegments', num_segments=2, segment_seconds=(1, 1),
                gap_seconds=0)


def held_out(names, share=0.1):
    below = held_out_below(names, share)
    return {name for name in names if place_of(name) < below}


def test_videos_that_are_added_move_no_other():
    names = [f'talks/{k}.mp4' for k in range(400)]
    first = held_out(names[:200])
    assert 10 < len(first) < 30
    assert held_out(names) & set(names[:200]) == first
    assert held_out(names[:200][::-1]) == first
    assert held_out(names, 0.3) > held_out(names)


def test_the_name_counts_and_not_how_it_is_written():
    assert place_of('a/./b.mp4') == place_of('a//b.mp4') == place_of('a\\b.mp4')
    assert place_of('a/b.mp4') != place_of('c/b.mp4')
    assert 0 <= place_of('\udcff.mp4') < 1  # a name that is not UTF-8


@pytest.mark.parametrize(('number', 'fewest'), [(2, 1), (3, 1), (4, 2), (12, 2)])
def test_of_few_videos_some_are_held_out(number, fewest):
    assert len(held_out([f'{k}.mp4' for k in range(number)], share=1e-9)) == fewest


@pytest.mark.parametrize(('names', 'share', 'message'), [
    (['a', 'a'], 0.1, 'of 1 video none'), (['a', 'b'], 0, 'between 0 and 1, got 0'),
    (['a', 'b'], 1, 'between 0 and 1, got 1')])
def test_what_cannot_be_split(names, share, message):
    with pytest.raises(ValueError, match=message):
        held_out_below(names, share)


class TestDataSets:
    @pytest.fixture
    def build(self, tmp_path):
        words = [['so', 0.2, 0.4], ['it', 1.0, 1.2], ['is', 1.8, 1.9]]
        records = [dict(path=f'{k}.mp4', duration=2.1, words=words) for k in range(40)]
        records += [dict(path=f'short {k}.mp4', duration=1.5, words=words) for k in range(40)]
        self.write(tmp_path / 'transcripts.jsonl', records)
        self.write(tmp_path / 'captions.jsonl', [
            dict(path=f'./{k}.mp4', captions=['a'], start=float(part), end=part + 1.0)
            for k in range(10, 60) for part in range(2)])

        def build(kind=TranscriptVideoDataset, ann_file='transcripts.jsonl', pipeline=(SEGMENTS, ),
                  **kwargs):
            return kind(ann_file, data_root=str(tmp_path), held_out_by='transcripts.jsonl',
                        pipeline=list(pipeline), **(dict(held_out_share=0.3) | kwargs))

        return build

    @staticmethod
    def write(path, records):
        path.write_text(''.join(json.dumps(record) + '\n' for record in records))

    @staticmethod
    def names(dataset):
        return [dataset.get_data_info(k)['sample_id'] for k in range(len(dataset))]

    def test_both_parts_are_the_whole_and_what_cannot_be_used_is_told(self, build, monkeypatch):
        told = []
        monkeypatch.setattr('tvtsv2_mm.datasets.json_lines_video_dataset.print_log',
                            lambda text, **_: told.append(text))
        train, test = self.names(build()), self.names(build(test_mode=True))
        assert sorted(train + test) == sorted(f'{k}.mp4' for k in range(40))
        assert 4 < len(test) < 20
        assert f'{len(train)} videos to train on\n' in told[0] and 'left out: its N s' in told[0]
        assert f'{len(test)} held-out videos\n' in told[1] and 'so few videos' in told[1]

    def test_captions_follow_the_transcripts(self, build):
        kept = {name.partition('#')[0].removeprefix('./') for name in
                self.names(build(CaptionVideoDataset, 'captions.jsonl', ()))}
        assert kept.isdisjoint(self.names(build(test_mode=True)))
        assert {name for name in self.names(build()) if int(name[:-4]) >= 10} <= kept

    def test_evaluation_meets_no_sample_that_it_cannot_draw(self, build, tmp_path):
        """Some of these fail in one draw and not in another."""
        self.write(tmp_path / 'transcripts.jsonl', [
            dict(path=f'{k}.mp4', duration=3.0, words=[['so', k / 60, k / 60], ['it', 2.0, 2.2]])
            for k in range(60)])
        dataset = build(test_mode=True, pipeline=[dict(SEGMENTS, max_draws=1)])
        assert 1 < len(dataset) < 18
        assert all(len(dataset[k]['texts']) == 2 for k in range(len(dataset)))

    def test_a_file_that_leaves_nothing(self, build, tmp_path):
        self.write(tmp_path / 'transcripts.jsonl', [
            dict(path=f'{k}.mp4', duration=1.0, words=[]) for k in range(9)])
        told = r'0 held-out videos\n.*left out.*more videos'
        with pytest.raises(AnnotationError, match=told):
            build(test_mode=True)
        self.write(tmp_path / 'transcripts.jsonl', [dict(path='a', duration=1.0, words=[])])
        with pytest.raises(AnnotationError, match=r'transcripts\.jsonl: of 1 video none'):
            build()
