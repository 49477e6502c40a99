# The six motions of narrated_shapes.py for a recognizer: a frame of each of eight equal parts of a
# video; in testing two such clips with three crops each.
_base_ = ['./narrated_shapes.py', './recognizer_steps.py']
uniform = dict(type='UniformSample', clip_len=8)
read = [_base_.open_decord, uniform, _base_.decode_decord]
read_middle = [_base_.open_decord, dict(uniform, test_mode=True), _base_.decode_decord]
read_twice = [
    _base_.open_decord,
    dict(uniform, num_clips=2, test_mode=True), _base_.decode_decord,
    dict(type='Resize', scale=(-1, 64)),
    dict(type='ThreeCrop', crop_size=64)
]

train_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='tvtsv2_mm.SeededSampler', shuffle=True),
    dataset=dict(_base_.motions_train, pipeline=[*read, *_base_.pack_clip]))
val_dataloader = dict(
    batch_size=54,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(_base_.motions_test, pipeline=[*read_middle, *_base_.pack_clip]))
test_dataloader = dict(
    val_dataloader,
    batch_size=18,
    dataset=dict(_base_.motions_test, pipeline=[*read_twice, *_base_.pack_clip]))

val_evaluator = dict(type='AccMetric', metric_options=dict(top_k_accuracy=dict(topk=(1, ))))
test_evaluator = val_evaluator
