# The base of all sizes. The others say only what differs.
model = dict(
    type='VideoTextModel',
    data_preprocessor=dict(
        type='VideoTextDataPreprocessor',
        # ImageNet's, as in the release; not CLIP's.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type='SpaceTimeViT',
        image_size=224,
        patch_size=16,
        width=768,
        layers=12,
        heads=12,
        embed_dim=512,
        num_frames=12,
        activation='quick_gelu',
        token_output='all_normed'),
    neck=dict(
        type='PartiallyFrozenTextEncoder',
        width=512,
        layers=12,
        heads=8,
        embed_dim=512,
        frozen_layers=9,
        activation='quick_gelu'),
    contrastive_head=dict(type='VideoTextContrastiveHead', temperature=0.05),
    sorting_head=dict(
        type='TranscriptSortingHead', embed_dim=512, num_transcripts=4, heads=8, loss_weight=2.0))
