# The data of yt-temporal_webvid.py from shards; made by: python tools/data/make_shards.py
# Shards made with --encode hold smaller pictures that were compressed again: they are scaled as the
# release does it, but the pixels are no longer the release's.
_base_ = './yt-temporal_webvid.py'

yt_temporal_shards = dict(
    type='ShardedTranscriptDataset',
    index='data/yt_temporal/shards/index.json',
    pipeline=[*_base_.transcript_transforms, _base_.tube_mask, _base_.pack])
webvid_shards = dict(
    type='ShardedCaptionDataset',
    index='data/webvid/shards/index.json',
    pipeline=[*_base_.caption_transforms, _base_.tube_mask, _base_.pack])

# num_workers should divide num_streams, on every machine: then no shard is read in vain.
train_dataloader = dict(
    batch_sampler=dict(
        type='ShardBatchSampler', ratios=(1, 1), num_streams=24, shuffle_buffer=1000),
    dataset=dict(datasets=[yt_temporal_shards, webvid_shards]))
