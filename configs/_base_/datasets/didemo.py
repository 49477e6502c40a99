# DiDeMo, made by tools/data/didemo. All sentences of a video as one text.
benchmark = 'DiDeMo'
data_root = 'data/didemo'
test_set = dict(
    type='CaptionVideoDataset',
    data_root=data_root,
    ann_file='annotations/test.jsonl',
    data_prefix=dict(video='videos'))
# Captions of training videos, for QB-Norm.
query_bank = f'{data_root}/annotations/train.jsonl'
