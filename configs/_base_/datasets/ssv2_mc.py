# SSv2-MC, made by tools/data/ssv2_mc. Each video with its candidate sentences and the answer.
benchmark = 'SSv2-MC'
data_root = 'data/ssv2_mc'
test_set = dict(
    type='CaptionVideoDataset',
    data_root=data_root,
    ann_file='annotations/test.jsonl',
    data_prefix=dict(video='videos'))
