# MetaCLIP 2 worldwide ViT-H/14 (Chuang et al., arXiv 2507.22062) as the base of TVTSv2: texts of
# many languages. Weights: the folder of huggingface.co/facebook/metaclip-2-worldwide-huge-quickgelu
# with its tokenizer's files, loaded as it is. The licence could not be established here (that of
# the first MetaCLIP is CC-BY-NC-4.0): read its page.
_base_ = './tvtsv2_vit-b16.py'
model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305]),
    backbone=dict(patch_size=14, width=1280, layers=32, heads=16, embed_dim=1024),
    neck=dict(
        width=1024,
        layers=24,
        heads=16,
        embed_dim=1024,
        frozen_layers=18,
        vocab_size=901629,
        context_length=77,
        tokenizer='XLMRobertaTokenizer',
        end_token=2),
    sorting_head=dict(embed_dim=1024, heads=16))
