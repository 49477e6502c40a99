# tools/dist_train.sh configs/tvtsv2/vit-l_pretrain.py 8
# Not in the paper; mask and batch lie between B/16's and H/14's. Not trained here.
_base_ = [
    '../_base_/models/tvtsv2_vit-l14.py', '../_base_/datasets/yt-temporal_webvid.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py'
]
load_from = 'openai/clip-vit-large-patch14'

tube_mask = dict(type='RandomTubeMask', patch_size=14, ratio=0.7)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(datasets=[
        dict(_base_.yt_temporal, pipeline=[*_base_.transcript_transforms, tube_mask, _base_.pack]),
        dict(_base_.webvid, pipeline=[*_base_.caption_transforms, tube_mask, _base_.pack]),
    ]))
