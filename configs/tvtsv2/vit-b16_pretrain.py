# tools/dist_train.sh configs/tvtsv2/vit-b16_pretrain.py 8
# The paper trains on up to 80 V100, 12 clips per GPU and data set. Not reproduced here.
_base_ = [
    '../_base_/models/tvtsv2_vit-b16.py', '../_base_/datasets/yt-temporal_webvid.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py'
]
load_from = 'openai/clip-vit-base-patch16'
