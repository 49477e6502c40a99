# tools/dist_train.sh configs/tvtsv2/metaclip2-h14_pretrain.py 8
# TVTSv2 on MetaCLIP 2, whose texts are of many languages (docs/bases.md); mask, batch and sharding
# are those of vit-h_pretrain.py. Not trained here.
_base_ = [
    '../_base_/models/metaclip2_h14.py', '../_base_/datasets/yt-temporal_webvid.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py',
    '../_base_/strategies/fully_shard.py'
]
# Tokens are made by the files beside the weights.
load_from = 'hf://facebook/metaclip-2-worldwide-huge-quickgelu'

tube_mask = dict(type='RandomTubeMask', patch_size=14, ratio=0.7)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(datasets=[
        dict(_base_.yt_temporal, pipeline=[*_base_.transcript_transforms, tube_mask, _base_.pack]),
        dict(_base_.webvid, pipeline=[*_base_.caption_transforms, tube_mask, _base_.pack]),
    ]))
