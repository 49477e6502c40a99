# SigLIP 2 ViT-B/16 (Tschannen et al., arXiv 2502.14786) as the base of TVTSv2.
# Weights: the folder of huggingface.co/google/siglip2-base-patch16-224 with its tokenizer's files,
# loaded as it is. Licence: Apache-2.0; read its page.
_base_ = './tvtsv2_vit-b16.py'
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
        width=768,
        layers=12,
        heads=12,
        embed_dim=768,
        frozen_layers=9,
        vocab_size=256000,
        context_length=64,
        tokenizer='GemmaTokenizer'),
    # Scale and bias come with the weights.
    contrastive_head=dict(_delete_=True, type='VideoTextSigmoidHead'),
    sorting_head=dict(embed_dim=768, heads=12))
