# Kinetics-400 for a recognizer, as MMAction2 samples it for most of its models: 8 frames of 64 in
# training, 10 such clips with three crops each in testing.
_base_ = ['./kinetics400.py', './recognizer_steps.py']
dense = dict(type='SampleFrames', clip_len=8, frame_interval=8, num_clips=1)

train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='tvtsv2_mm.SeededSampler', shuffle=True),
    dataset=dict(
        _base_.train_set,
        pipeline=[
            _base_.open_decord, dense, _base_.decode_decord, *_base_.random_crop, _base_.flip,
            *_base_.pack_clip
        ]))
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _base_.test_set,
        test_mode=True,
        pipeline=[
            _base_.open_decord,
            dict(dense, test_mode=True), _base_.decode_decord, *_base_.center_crop,
            *_base_.pack_clip
        ]))
test_dataloader = dict(
    val_dataloader,
    batch_size=1,
    dataset=dict(
        _base_.test_set,
        test_mode=True,
        pipeline=[
            _base_.open_decord,
            dict(dense, num_clips=10, test_mode=True), _base_.decode_decord, *_base_.three_crops,
            *_base_.pack_clip
        ]))

val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator
