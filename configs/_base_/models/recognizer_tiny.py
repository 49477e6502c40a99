_base_ = ['./tvtsv2_tiny.py', './recognizer3d.py']
video_text_model = _base_.model  # with the text encoder
model = _base_.recognizer
model.backbone = dict(_base_.model.backbone, **model.backbone)
model.data_preprocessor = dict(_base_.model.data_preprocessor, **model.data_preprocessor)
model.cls_head.in_channels = _base_.model.backbone.embed_dim
