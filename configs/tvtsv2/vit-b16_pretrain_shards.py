# tools/dist_train.sh configs/tvtsv2/vit-b16_pretrain_shards.py 8
# vit-b16_pretrain.py with the videos in shards (docs/data.md). Not reproduced here.
_base_ = [
    '../_base_/models/tvtsv2_vit-b16.py', '../_base_/datasets/yt-temporal_webvid_shards.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py'
]
load_from = 'openai/clip-vit-base-patch16'
# Goes on in mid-epoch (ResumeDataHook): an epoch takes days.
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=5000, save_last=True, max_keep_ckpts=3))
