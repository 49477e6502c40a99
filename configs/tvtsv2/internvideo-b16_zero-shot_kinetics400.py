# python tools/test.py configs/tvtsv2/internvideo-b16_zero-shot_kinetics400.py CHECKPOINT
# InternVideo-MM-B/16 in its own frames. CHECKPOINT: InternVideo-MM-B-16.ckpt, to which
# github.com/OpenGVLab/InternVideo leads. Code Apache-2.0; none is stated for the weights.
# Its own figure (B/16 56.65, L/14 64.25) is of weights averaged with CLIP's, by 16 prompts and
# middle frames of 256 x 256; these are its demo's.
# What else differs from the original: _base_/models/internvideo_b16.py
_base_ = ['../_base_/models/internvideo_b16.py', '../_base_/protocols/zero-shot_kinetics400.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[
        *_base_.internvideo_frames,
        *_base_.test_dataloader.dataset.pipeline[3:],
    ]))
