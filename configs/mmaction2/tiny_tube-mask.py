# python tools/train.py configs/mmaction2/tiny_tube-mask.py
# Trains on a random half of the patches of each clip, the same in all its frames; tests on all.
_base_ = './tiny_timesformer-head.py'
model = dict(
    # Those of MMAction2 whose batches are a dict: the backbone gets imgs and kept_patches.
    type='MMRecognizer3D',
    data_preprocessor=dict(
        _delete_=True,
        type='MultiModalDataPreprocessor',
        preprocessors=dict(
            imgs=_base_.model.data_preprocessor,
            kept_patches=dict(type='ActionDataPreprocessor', to_float32=False))))
shape, pack = _base_.pack_clip
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.read, shape,
            dict(type='tvtsv2_mm.RandomTubeMask', patch_size=16, ratio=0.5),
            dict(pack, collect_keys=('imgs', 'kept_patches'))
        ]))
pack_all = dict(pack, collect_keys=('imgs', ))
val_dataloader = dict(dataset=dict(pipeline=[*_base_.read_middle, shape, pack_all]))
test_dataloader = dict(dataset=dict(pipeline=[*_base_.read_twice, shape, pack_all]))
