# python tools/train.py configs/tvtsv2/tiny_clip_registers.py
# tiny_clip.py that has read of its pictures in every register of speech: what plays CLIP's part in
# the study (docs/study.md).
_base_ = './tiny_clip.py'
train_dataloader = dict(
    dataset=dict(dataset=dict(ann_file='annotations/registers_train.jsonl')))
