# ImageBind (Girdhar et al., arXiv 2305.05665), imagebind_huge: videos and texts.
# NON-COMMERCIAL: code and weights are under CC BY-NC-SA 4.0 (its README says CC-BY-NC 4.0).
# Weights: imagebind_huge.pth, to which github.com/facebookresearch/ImageBind leads; loaded as they
# are, those of its other modalities are told as not needed.
# A video is 5 clips of 2 s, of each the first and the last frame, with 3 crops. Otherwise than
# there:
# - pixels are rounded to whole numbers before they are normalised, and differ by up to 1 of 255;
# - the long side may be a pixel longer, and where 1 mod 4 pixels are left at both sides of the
#   middle crop, that begins one pixel earlier;
# - the mean of the views' directions is brought to length 1 again. There it keeps its length, which
#   changes what videos a text finds, but not which classes and texts a video does;
# - html entities in texts stay as they are. The scale of texts (log_logit_scale, at most 100)
#   changes no direction and is not taken.
model = dict(
    type='VideoTextModel',
    data_preprocessor=dict(
        type='VideoTextDataPreprocessor',
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305]),
    backbone=dict(
        type='FramewiseViT',
        frames_per_patch=2,
        image_size=224,
        patch_size=14,
        width=1280,
        layers=32,
        heads=16,
        embed_dim=1024,
        num_frames=2,
        activation='gelu',
        norm_eps=1e-6),
    neck=dict(
        type='PartiallyFrozenTextEncoder',
        width=1024,
        layers=24,
        heads=16,
        embed_dim=1024,
        frozen_layers=18,
        activation='gelu',
        norm_eps=1e-6),
    contrastive_head=dict(type='VideoTextContrastiveHead', temperature=0.01))
imagebind_views = [
    dict(type='OpenVideo', short_side=224, interpolation='cv2_bilinear'),
    dict(type='SampleClipFrames', num_frames=2, mode='ends', clip_seconds=2.0, num_clips=5),
    dict(type='DecodeClip'),
    dict(type='CropClip', size=224, mode='three'),
]
