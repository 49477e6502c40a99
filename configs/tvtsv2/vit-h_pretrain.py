# tools/dist_train.sh configs/tvtsv2/vit-h_pretrain.py 8
# The paper: mask 0.7, 2 clips per GPU and data set. Not reproduced here.
# A billion parameters: in shards on all GPUs, in bfloat16; checkpoints are folders (docs/scale.md).
_base_ = [
    '../_base_/models/tvtsv2_vit-h14.py', '../_base_/datasets/yt-temporal_webvid.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py',
    '../_base_/strategies/fully_shard.py'
]
load_from = 'laion/CLIP-ViT-H-14-laion2B-s32B-b79K'

tube_mask = dict(type='RandomTubeMask', patch_size=14, ratio=0.7)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(datasets=[
        dict(_base_.yt_temporal, pipeline=[*_base_.transcript_transforms, tube_mask, _base_.pack]),
        dict(_base_.webvid, pipeline=[*_base_.caption_transforms, tube_mask, _base_.pack]),
    ]))
