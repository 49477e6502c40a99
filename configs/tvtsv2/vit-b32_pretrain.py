# tools/dist_train.sh configs/tvtsv2/vit-b32_pretrain.py 8
# Without a mask, as in the paper. Not reproduced here.
_base_ = [
    '../_base_/models/tvtsv2_vit-b32.py', '../_base_/datasets/yt-temporal_webvid.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py'
]
load_from = 'openai/clip-vit-base-patch32'

train_dataloader = dict(
    dataset=dict(datasets=[
        dict(_base_.yt_temporal, pipeline=[*_base_.transcript_transforms, _base_.pack]),
        dict(_base_.webvid, pipeline=[*_base_.caption_transforms, _base_.pack]),
    ]))
