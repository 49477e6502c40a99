# ViCLIP-B/16 (Wang et al., InternVid, arXiv 2307.06942).
# Weights: ViCLIP-B_InternVid-FLT-10M.pth and others of huggingface.co/OpenGVLab/ViCLIP, loaded as
# they are. The code (github.com/OpenGVLab/InternVideo, Data/InternVid) is under Apache-2.0; the
# licence of the weights could not be established: read the page that they come from.
# Frames and size are those of its evaluation: the middle one of each eighth, bicubically squeezed
# to a square, ImageNet's pixels. Otherwise than there: PIL's bicubic filter (which one it takes is
# not known), and html entities in texts stay as they are. Its demo takes every (N // 8)-th of N
# frames and OpenCV's bilinear filter: interpolation='cv2_bilinear'.
model = dict(
    type='VideoTextModel',
    data_preprocessor=dict(
        type='VideoTextDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type='SpaceTimeViT',
        attention='joint',
        image_size=224,
        patch_size=16,
        width=768,
        layers=12,
        heads=12,
        embed_dim=512,
        num_frames=8,
        activation='quick_gelu'),
    neck=dict(
        type='PartiallyFrozenTextEncoder',
        width=512,
        layers=12,
        heads=8,
        embed_dim=512,
        frozen_layers=9,
        context_length=32,
        activation='quick_gelu'),
    # Its demo's; the one that was learnt is not used there either.
    contrastive_head=dict(type='VideoTextContrastiveHead', temperature=0.01))
viclip_frames = [
    dict(type='OpenVideo', short_side=224, interpolation='bicubic', keep_ratio=False),
    dict(type='SampleClipFrames', num_frames=8, mode='middle', spacing='index'),
    dict(type='DecodeClip'),
]
