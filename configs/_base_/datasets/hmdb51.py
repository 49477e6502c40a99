# HMDB51, made by tools/data/hmdb51. The first of three splits.
benchmark = 'HMDB51'
data_root = 'data/hmdb51'
num_classes = 51
# One name a line, in the order of the labels, to read well behind "a person".
classes = f'{data_root}/classes.txt'
train_set = dict(
    type='tvtsv2_mm.LabeledVideoDataset',
    data_root=data_root,
    ann_file='annotations/train_split1.txt',
    data_prefix=dict(video='videos'))
test_set = dict(train_set, ann_file='annotations/test_split1.txt')
