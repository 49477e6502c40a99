# LSMDC, made by tools/data/lsmdc.
benchmark = 'LSMDC'
data_root = 'data/lsmdc'
test_set = dict(
    type='CaptionVideoDataset',
    data_root=data_root,
    ann_file='annotations/test.jsonl',
    data_prefix=dict(video='videos'))
# Captions of training videos, for QB-Norm.
query_bank = f'{data_root}/annotations/train.jsonl'
