# python tools/train.py configs/tvtsv2/tiny_siglip_pretrain.py
# tiny_pretrain.py on a base like SigLIP: no class token, attention pooling, its text encoder and
# its loss; tokens are CLIP's. From random weights.
# Nothing normalises tokens before the blocks: positions have to grow until they are seen beside the
# pixels, and where things are is half of where they move. The loss starts from a scale and a bias
# of a batch of 32 pairs, not of SigLIP's 32768.
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
    contrastive_head=dict(_delete_=True, type='VideoTextSigmoidHead', scale=20.0, bias=-8.0),
    sorting_head=dict(embed_dim=96))
optim_wrapper = dict(paramwise_cfg=dict(lr_mult={'positional_embedding': 20.0}))
