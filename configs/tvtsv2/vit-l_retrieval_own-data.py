# python tools/test.py configs/tvtsv2/vit-l_retrieval_own-data.py CHECKPOINT \
#     --cfg-options test_dataloader.dataset.data_prefix.video=MY_VIDEOS
_base_ = ['../_base_/models/tvtsv2_vit-l14.py', '../_base_/protocols/retrieval_own-data.py']
model = _base_.protocol_model
