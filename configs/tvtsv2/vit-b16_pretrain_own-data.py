# python tools/train.py configs/tvtsv2/vit-b16_pretrain_own-data.py \
#     --cfg-options data_root=MY_VIDEOS
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/pretrain_own-data.py']
load_from = 'openai/clip-vit-base-patch16'
