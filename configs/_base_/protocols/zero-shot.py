# Zero-shot recognition: 12 middle frames, one centre crop, the paper's prompt. The pixels are the
# release's to the last bit (PROTOCOLS.md).
_base_ = '../default_runtime.py'
protocol = 'zero-shot'
protocol_of = None  # the authors', if it is not ours
# What the protocol changes in the model of every size.
protocol_model = dict(sorting_head=None, cls_head=dict(type='ZeroShotHead', prompts='paper'))

test_dataloader = dict(
    batch_size=16,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        test_mode=True,
        pipeline=[
            dict(type='OpenVideo', short_side=268, interpolation='nearest'),
            dict(type='SampleClipFrames', num_frames=12, mode='middle', num_clips=1),
            dict(type='DecodeClip', short_clip='black'),
            dict(type='CropClip', size=224, mode='center'),
            dict(type='PackVideoText'),
        ]))
test_evaluator = dict(type='TopKAccuracy', topk=(1, 5))
test_cfg = dict(type='TestLoop')
custom_hooks = [dict(type='ResultFileHook')]
