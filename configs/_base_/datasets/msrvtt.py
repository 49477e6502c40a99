# MSR-VTT 1k-A, made by tools/data/msrvtt.
benchmark = 'MSR-VTT 1k-A'
data_root = 'data/msrvtt'
test_set = dict(
    type='CaptionVideoDataset',
    data_root=data_root,
    ann_file='annotations/test.jsonl',
    data_prefix=dict(video='videos'))
# Captions of training videos, for QB-Norm.
query_bank = f'{data_root}/annotations/train.jsonl'
