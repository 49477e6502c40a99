# The nearest of a video's candidate sentences.
_base_ = '../default_runtime.py'
protocol = 'multiple-choice'

test_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        test_mode=True,
        pipeline=[
            dict(type='OpenVideo', short_side=268),
            dict(type='SampleClipFrames', num_frames=12, mode='middle', num_clips=1),
            dict(type='DecodeClip'),
            dict(type='CropClip', size=224, mode='center'),
            dict(type='TokenizeText'),
            dict(type='PackVideoText'),
        ]))
test_evaluator = dict(type='MultipleChoiceAccuracy')
test_cfg = dict(type='TestLoop')
custom_hooks = [dict(type='ResultFileHook')]
