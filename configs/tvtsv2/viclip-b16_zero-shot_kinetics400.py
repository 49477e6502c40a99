# python tools/test.py configs/tvtsv2/viclip-b16_zero-shot_kinetics400.py CHECKPOINT
# ViCLIP-B/16 in its own frames. CHECKPOINT: ViCLIP-B_InternVid-FLT-10M.pth of
# huggingface.co/OpenGVLab/ViCLIP. Code Apache-2.0; the licence of the weights is not established.
# Its own figures are by 16 prompts (model.cls_head.prompts=FILE).
# What else differs from the original: _base_/models/viclip_b16.py
_base_ = ['../_base_/models/viclip_b16.py', '../_base_/protocols/zero-shot_kinetics400.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.viclip_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
