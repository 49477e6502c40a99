# python tools/test.py configs/tvtsv2/vit-b16_zero-shot_own-data.py TVTSv2_ViT_B_16.pth \
#     --cfg-options test_dataloader.dataset.data_prefix.video=MY_VIDEOS
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/zero-shot_own-data.py']
model = _base_.protocol_model
