# python tools/test.py configs/tvtsv2/hugging-face_retrieval_msrvtt.py FOLDER
# Any dual encoder of transformers in our protocol: docs/peers.md.
_base_ = ['../_base_/models/hugging-face.py', '../_base_/protocols/retrieval_msrvtt.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[
        *_base_.hugging_face_frames, *_base_.test_dataloader.dataset.pipeline[4:]
    ]))
