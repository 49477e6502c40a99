# Kinetics-400, made by tools/data/kinetics400. Tested on the validation set.
benchmark = 'Kinetics-400'
data_root = 'data/kinetics400'
num_classes = 400
# One name a line, in the order of the labels, to read well behind "a person".
classes = f'{data_root}/classes.txt'
train_set = dict(
    type='tvtsv2_mm.LabeledVideoDataset',
    data_root=data_root,
    ann_file='annotations/train.txt',
    data_prefix=dict(video='videos'))
test_set = dict(train_set, ann_file='annotations/val.txt')
