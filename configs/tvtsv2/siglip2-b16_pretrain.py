# tools/dist_train.sh configs/tvtsv2/siglip2-b16_pretrain.py 8
# TVTSv2 on SigLIP 2: its loss, its tokenizer, no class token (docs/bases.md). Not trained here.
_base_ = [
    '../_base_/models/siglip2_b16.py', '../_base_/datasets/yt-temporal_webvid.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py'
]
# Tokens are made by the files beside the weights.
load_from = 'hf://google/siglip2-base-patch16-224'
