# python tools/train.py configs/tvtsv2/vit-h_pretrain_own-data.py \
#     --cfg-options data_root=MY_VIDEOS
_base_ = ['../_base_/models/tvtsv2_vit-h14.py', '../_base_/protocols/pretrain_own-data.py']
load_from = 'laion/CLIP-ViT-H-14-laion2B-s32B-b79K'
mask_ratio = 0.7
train_dataloader = dict(batch_size=2)
