# tools/dist_train.sh configs/tvtsv2/vit-b16_finetune_msrvtt_lora.py 8
# vit-b16_finetune_msrvtt.py with adapters in both towers, by the recipe of CLIP-LoRA (arXiv
# 2405.18541): rank 2 in queries, keys and values, 2e-4. Not reproduced here.
_base_ = './vit-b16_finetune_msrvtt.py'
model = dict(
    backbone=dict(lora=dict(rank=2, alpha=1, dropout=0.25, targets=['qkv'])),
    # There in all blocks, here in those that TVTSv2 does not freeze; frozen_layers=0 takes all.
    neck=dict(
        lora=dict(rank=2, alpha=1, dropout=0.25, targets=['q_proj', 'k_proj', 'v_proj'])))
optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=0.01), paramwise_cfg=dict(_delete_=True))
