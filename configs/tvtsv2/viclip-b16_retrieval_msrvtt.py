# python tools/test.py configs/tvtsv2/viclip-b16_retrieval_msrvtt.py CHECKPOINT
# ViCLIP-B/16 in its own frames. CHECKPOINT: ViCLIP-B_InternVid-FLT-10M.pth of
# huggingface.co/OpenGVLab/ViCLIP. Code Apache-2.0; the licence of the weights is not established.
# Whether its own figures are of weights averaged with CLIP's is not known.
# What else differs from the original: _base_/models/viclip_b16.py
_base_ = ['../_base_/models/viclip_b16.py', '../_base_/protocols/retrieval_msrvtt.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.viclip_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
