# python tools/train.py configs/tvtsv2/tiny_pretrain_spoken.py --cfg-options load_from=TINY_CLIP.pth
# tiny_pretrain.py in one register, the narrator's: its captions are spoken as well.
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
