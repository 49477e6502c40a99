# python tools/train.py configs/tvtsv2/vit-l_pretrain_own-data.py \
#     --cfg-options data_root=MY_VIDEOS
_base_ = ['../_base_/models/tvtsv2_vit-l14.py', '../_base_/protocols/pretrain_own-data.py']
load_from = 'openai/clip-vit-large-patch14'
mask_ratio = 0.7
train_dataloader = dict(batch_size=8)
