# python tools/test.py configs/tvtsv2/clip4clip-b32_retrieval_msrvtt.py CHECKPOINT
# A checkpoint of MMAction2's CLIP4Clip (clip4clip_vit-base-p32-res224-clip-pre_*) in our protocol.
_base_ = ['../_base_/models/clip4clip_vit-b32.py', '../_base_/protocols/retrieval_msrvtt.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.clip4clip_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
