# Something-Something V2, made by MMAction2's tools/data/sthv2. Tested on the validation set.
benchmark = 'Something-Something V2'
data_root = 'data/sthv2'
num_classes = 174
train_set = dict(
    type='tvtsv2_mm.LabeledVideoDataset',
    data_root=data_root,
    ann_file='sthv2_train_list_videos.txt',
    data_prefix=dict(video='videos'))
test_set = dict(train_set, ann_file='sthv2_val_list_videos.txt')
