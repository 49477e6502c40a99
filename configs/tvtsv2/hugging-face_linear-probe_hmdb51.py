# python tools/train.py configs/tvtsv2/hugging-face_linear-probe_hmdb51.py \
#     --cfg-options load_from=FOLDER
# python tools/probe_features.py extract configs/tvtsv2/hugging-face_linear-probe_hmdb51.py FOLDER \
#     --out CACHE.npz
# Any dual encoder of transformers in our protocol: docs/peers.md. What was trained is tested with
# its checkpoint and --cfg-options model.backbone.folder=FOLDER
_base_ = ['../_base_/models/hugging-face.py', '../_base_/protocols/linear-probe_hmdb51.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[
        *_base_.hugging_face_frames, *_base_.test_dataloader.dataset.pipeline[4:]
    ]))
val_dataloader = test_dataloader
train_dataloader = dict(
    dataset=dict(pipeline=[
        _base_.hugging_face_frames[0],
        dict(type='SampleClipFrames', mode='random'),
        _base_.hugging_face_frames[2],
        dict(type='CropClip', mode='random'), *_base_.train_dataloader.dataset.pipeline[4:]
    ]))
