# tools/dist_train.sh configs/tvtsv2/vit-b16_finetune_msrvtt.py 8
# Not reproduced here. The best checkpoint, and zero-shot before -> after: docs/finetuning.md.
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/protocols/finetune-retrieval_msrvtt.py']
model = _base_.protocol_model
load_from = 'tvtsv2-b16'
