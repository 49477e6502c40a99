# Kinetics-700, made by tools/data/kinetics700. Tested on the validation set.
benchmark = 'Kinetics-700'
data_root = 'data/kinetics700'
num_classes = 700
# One name a line, in the order of the labels, to read well behind "a person".
classes = f'{data_root}/classes.txt'
# Whole paths: MMAction2's programs open ann_file themselves.
train_set = dict(
    type='tvtsv2_mm.LabeledVideoDataset',
    data_root='',
    ann_file=f'{data_root}/annotations/train.txt',
    data_prefix=dict(video=f'{data_root}/videos'))
test_set = dict(train_set, ann_file=f'{data_root}/annotations/val.txt')
