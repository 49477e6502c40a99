# python tools/test.py configs/tvtsv2/xclip-b16_zero-shot_hmdb51.py CHECKPOINT
# X-CLIP-B/16 (Ni et al., arXiv 2208.02816), run by transformers. CHECKPOINT is the folder
# huggingface.co/microsoft/xclip-base-patch16-zero-shot (32 frames); licence of the weights: MIT.
# The texts are read anew for each video, as in its own forward. Its own frames and texts:
# xclip-b16_zero-shot_hmdb51_published.py
_base_ = './hugging-face_zero-shot_hmdb51.py'
model = dict(
    backbone=dict(type='XClipBackbone'), cls_head=dict(type='VideoConditionedZeroShotHead'))
