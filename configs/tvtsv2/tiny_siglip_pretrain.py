# python tools/train.py configs/tvtsv2/tiny_siglip_pretrain.py
# tiny_pretrain.py on a base like SigLIP: no class token, attention pooling, its text encoder and
# its loss; tokens are CLIP's. From random weights.
_base_ = './tiny_pretrain.py'
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        embed_dim=None,
        class_token=False,
        pre_norm=False,
        patch_bias=True,
        pooling='AttentionPooling',
        activation='gelu_pytorch_tanh',
        norm_eps=1e-6),
    neck=dict(
        _delete_=True,
        type='PartiallyFrozenSiglipTextEncoder',
        width=96,
        layers=3,
        heads=3,
        embed_dim=96,
        frozen_layers=2,
        vocab_size=49408,
        context_length=32,
        tokenizer='clip'),
    contrastive_head=dict(_delete_=True, type='VideoTextSigmoidHead'),
    sorting_head=dict(embed_dim=96))
