# python tools/test.py configs/tvtsv2/internvideo-b16_retrieval_msrvtt.py CHECKPOINT
# InternVideo-MM-B/16 in its own frames. CHECKPOINT: InternVideo-MM-B-16.ckpt, to which
# github.com/OpenGVLab/InternVideo leads. Code Apache-2.0; none is stated for the weights.
# As there, frames are scaled to 224 bicubically; which 8 it takes is not known: its demo's here.
# Its own figures are of weights mixed with CLIP's (mergeclip).
# What else differs from the original: _base_/models/internvideo_b16.py
_base_ = ['../_base_/models/internvideo_b16.py', '../_base_/protocols/retrieval_msrvtt.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='OpenVideo', short_side=224, interpolation='bicubic'),
        *_base_.internvideo_frames[1:],
        *_base_.test_dataloader.dataset.pipeline[3:],
    ]))
