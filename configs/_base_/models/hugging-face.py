# Any dual encoder that transformers runs itself (docs/peers.md). CHECKPOINT is its folder, as it
# comes from the hub or as sentence-transformers wrote it: sizes, pixels, tokenizer and, where the
# model reads clips, the number of frames stand there.
model = dict(
    type='VideoTextModel',
    data_preprocessor=dict(type='VideoTextDataPreprocessor'),
    backbone=dict(type='HuggingFaceBackbone'),
    neck=dict(type='HuggingFaceTextEncoder'))
# What a config puts in the place of the release's first four steps: the middle frame of each
# twelfth, where the model allows it, in the pixels of the model.
hugging_face_frames = [
    dict(type='OpenVideo'),
    dict(type='SampleClipFrames', mode='middle', num_clips=1),
    dict(type='DecodeClip'),
    dict(type='CropClip', mode='center'),
]
