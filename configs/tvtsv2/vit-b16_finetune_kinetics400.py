# tools/dist_train.sh configs/tvtsv2/vit-b16_finetune_kinetics400.py 8 --amp
# Kinetics-400 by MMAction2's Recognizer3D with our encoder. Not run here at full size.
_base_ = ['../_base_/models/recognizer_vit-b16.py', '../_base_/protocols/finetune_kinetics400.py']
model = _base_.protocol_model
# Any checkpoint that this package reads; a CLIP's too.
load_from = 'tvtsv2-b16'
# Its text encoder is that of the zero-shot test before and after.
default_hooks = dict(
    zero_shot_check=dict(model=_base_.video_text_model, checkpoint=load_from))
