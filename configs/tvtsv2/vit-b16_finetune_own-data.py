# python tools/train.py configs/tvtsv2/vit-b16_finetune_own-data.py \
#     --cfg-options data_root=MY_VIDEOS load_from=TVTSv2_ViT_B_16.pth
_base_ = [
    '../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/finetune-retrieval_own-data.py'
]
load_from = 'tvtsv2-b16'
