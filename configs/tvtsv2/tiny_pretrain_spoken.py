# python tools/train.py configs/tvtsv2/tiny_pretrain_spoken.py --cfg-options load_from=TINY_CLIP.pth
# tiny_pretrain.py in one register, the narrator's: its captions are spoken as well. Shorter, for
# the study (docs/study.md) trains many.
_base_ = './tiny_pretrain.py'
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(type='RepeatDataset', times=10, dataset=_base_.transcripts_train),
            dict(
                type='RepeatDataset',
                times=10,
                dataset=dict(_base_.captions_train, ann_file='annotations/spoken_train.jsonl')),
        ]))
train_cfg = dict(max_epochs=5, val_interval=5)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='MultiStepLR', by_epoch=True, milestones=[4], gamma=0.2),
]
