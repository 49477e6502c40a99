# What fine-tuning costs: zero-shot on HMDB51 (tools/data/hmdb51) before -> after, in the log and in
# result.json. A fine-tuning config puts it into its default_hooks; without HMDB51 it is left out.
zero_shot_check = dict(
    type='tvtsv2_mm.ZeroShotCheckHook',
    benchmark='HMDB51',
    cls_head=dict(type='ZeroShotHead', classes='data/hmdb51/classes.txt', prompts='paper'),
    dataloader=dict(
        batch_size=16,
        num_workers=4,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='LabeledVideoDataset',
            data_root='data/hmdb51',
            ann_file='annotations/test_split1.txt',
            data_prefix=dict(video='videos'),
            test_mode=True,
            # Frames and crop are the model's.
            pipeline=[
                dict(type='OpenVideo', interpolation='nearest'),
                dict(type='SampleClipFrames', mode='middle', num_clips=1),
                dict(type='DecodeClip', short_clip='black'),
                dict(type='CropClip', mode='center'),
                dict(type='PackVideoText'),
            ])),
    evaluator=dict(type='TopKAccuracy', topk=(1, 5)))
