# tools/dist_train.sh configs/tvtsv2/pe-b16_pretrain.py 8
# TVTSv2 on PE-core (docs/bases.md). Not trained here.
_base_ = [
    '../_base_/models/pe_b16.py', '../_base_/datasets/yt-temporal_webvid.py',
    '../_base_/schedules/pretrain_10e.py', '../_base_/default_runtime.py'
]
load_from = 'hf://timm/PE-Core-B-16'
