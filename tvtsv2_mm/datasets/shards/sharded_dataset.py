"""Data sets that stream their samples from shards."""

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from mmcv.transforms import Compose
from torch.utils.data import Dataset, get_worker_info

from tvtsv2_mm.datasets.annotations import CHECKS, AnnotationError, parse_record, sample_keys
from tvtsv2_mm.datasets.caption_video_dataset import draw_captions
from tvtsv2_mm.datasets.clips_of_video import build_transforms, run_transforms
from tvtsv2_mm.datasets.drawn_index import DrawnIndex
from tvtsv2_mm.datasets.errors import UnusableSampleError
from tvtsv2_mm.datasets.shards.index import load_index
from tvtsv2_mm.datasets.shards.order import ShardDraw
from tvtsv2_mm.datasets.shards.stream import RawSample, ShardStream, read_samples
from tvtsv2_mm.registry import DATASETS
from tvtsv2_mm.video.errors import SampleError


class ShardedVideoDataset(Dataset):
    """Base of the data sets of shards, for training.

    Which sample comes when is said by :class:`~tvtsv2_mm.engine.samplers.ShardBatchSampler`, the
    only sampler that serves; each loader worker reads the streams that fall to it, and keeps a
    buffer of undecoded samples for each.

    A sample that a transform gives up (SampleError), or that a damaged shard does not have, is
    skipped and told as by VideoTextDataset: another one stands in for it (and comes again in its
    own turn), so that ranks end together.

    The pipeline gets: video_bytes, filename ('shard.tar::key', for messages), sample_id, rng
    (seeded by seed, epoch and sample), and the keys of the subclass.

    Args:
        index: file or URL of the shards' ``index.json`` (see tools/data/make_shards.py).
        place: where the shards are: a folder, an URL before their names, or an URL with ``{}``
            for the name, of any kind that webdataset opens; None looks beside the index.
        pipeline: transforms.
        max_refetch: samples in a row that may be skipped.

    Raises:
        FileNotFoundError: there is no index.
        ValueError: it is none, or one of other samples.
        RuntimeError: too many samples in a row could not be used.
    """

    kind: ClassVar[str]
    metainfo: ClassVar[dict] = {}

    def __init__(self, index: str, *, place: str | None = None, pipeline: list | None = None,
                 max_refetch: int = 100) -> None:
        self.index = load_index(index, place)
        if self.index.kind != self.kind:
            raise ValueError(f'{index} lists shards of {self.index.kind}, but {type(self).__name__}'
                             f' reads {self.kind}')
        self.ann_file = index
        self.max_refetch = max_refetch
        self.pipeline = Compose(build_transforms(pipeline))
        self._epoch: tuple[int, int] | None = None
        self._streams: dict[int, ShardStream] = {}

    def full_init(self) -> None:
        """Nothing is left to do; mmengine calls it."""

    def __len__(self) -> int:
        """Samples of all shards."""
        return len(self.index)

    def __getitem__(self, index: DrawnIndex) -> dict:
        """Return the sample of a draw, or one in its place."""
        draw = getattr(index, 'draw', None)
        if not isinstance(draw, ShardDraw):
            raise TypeError(f"{type(self).__name__} needs batch_sampler=dict(type='ShardBatchSamp"
                            "ler') in the data loader: shards have no samples by number")
        stream = self._stream_at(draw)
        wanted = stream.take()
        skipped: list[dict] = []
        candidates = islice(self._candidates(draw, wanted, stream), self.max_refetch + 1)
        for attempt, raw in enumerate(candidates):
            rng = np.random.default_rng((draw.seed, draw.epoch, wanted.number, attempt))
            try:
                return self._prepare(raw, rng, skipped)
            except SampleError as error:
                skipped.append(dict(path=error.path, reason=error.reason))
        raise RuntimeError(
            f'{self.ann_file}: {len(skipped)} samples in a row could not be used; the last one: '
            f'{skipped[-1]["path"]}: {skipped[-1]["reason"]}')

    def _candidates(self, draw: ShardDraw, wanted: RawSample,
                    stream: ShardStream) -> Iterator[RawSample]:
        """A sample, and in which order others stand in for it.

        What waits in the buffer is there already; where all of it is missing as well, as in a
        damaged shard, the first samples of random shards.
        """
        yield wanted
        yield from (raw for raw in stream.waiting() if raw.files is not None)
        rng = np.random.default_rng((draw.seed, draw.epoch, wanted.number))
        while True:
            shard = int(rng.integers(len(self.index.counts)))
            yield from (raw for _, raw in read_samples(self.index, shard, [0]))

    def _stream_at(self, draw: ShardDraw) -> ShardStream:
        if self._epoch != (draw.seed, draw.epoch):
            self._epoch, self._streams = (draw.seed, draw.epoch), {}
        stream = self._streams.get(draw.first)
        if stream is None or stream.position > draw.position:
            stream = self._streams[draw.first] = ShardStream(self.index, draw)
        worker = get_worker_info()
        if stream.position < draw.position and worker is not None and worker.id == 0:
            warnings.warn(
                f'{worker.num_workers} loader workers do not divide num_streams of the ShardBatch'
                'Sampler: the samples stay the same, but shards are read several times. Take a '
                'number of workers that does.', stacklevel=2)
        while stream.position < draw.position:
            stream.take()
        if draw.position == draw.stop - draw.first - 1:
            del self._streams[draw.first]
        return stream

    def _prepare(self, raw: RawSample, rng: np.random.Generator, skipped: list[dict]) -> dict:
        if raw.files is None:
            raise UnusableSampleError(raw.label, raw.reason)
        endings = [ending for ending in raw.files if ending != 'json']
        if 'json' not in raw.files or len(endings) != 1:
            raise UnusableSampleError(raw.label, 'a video and a .json are needed, found '
                                      + (', '.join(raw.files) or 'nothing'))
        try:
            record = parse_record(raw.files['json'], CHECKS[self.kind], 'its .json does not fit')
        except AnnotationError as error:
            raise UnusableSampleError(raw.label, str(error)) from error
        results = sample_keys(record, self.kind) | dict(
            video_bytes=raw.files[endings[0]], filename=raw.label,
            sample_id=record.get('id') or record['path'], sample_idx=raw.number, rng=rng,
            skipped=skipped)
        return run_transforms(self.pipeline.transforms, self._draw(results))[0]

    def _draw(self, results: dict) -> list[dict]:
        """What the pipeline gets; a subclass may draw from the annotation."""
        return [results]

    def __getstate__(self) -> dict[str, Any]:
        # A copy for another process starts without open shards.
        return self.__dict__ | dict(_epoch=None, _streams={})


@DATASETS.register_module()
class ShardedTranscriptDataset(ShardedVideoDataset):
    """Narrated videos from shards: the pipeline's keys are those of TranscriptVideoDataset.

    Arguments are those of ShardedVideoDataset.
    """

    kind = 'transcripts'


@DATASETS.register_module()
class ShardedCaptionDataset(ShardedVideoDataset):
    """Captioned videos from shards: the pipeline's keys are those of CaptionVideoDataset.

    Arguments are those of ShardedVideoDataset.
    """

    kind = 'captions'

    def _draw(self, results: dict) -> list[dict]:
        return draw_captions(results)
