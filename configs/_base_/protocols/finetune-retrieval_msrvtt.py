# Fine-tuning for retrieval on MSR-VTT's training videos, tested on 1k-A: both made by
# tools/data/msrvtt (--train, --train-list; the 9000 training videos have to be there).
_base_ = [
    './retrieval_msrvtt.py', '../schedules/finetune-retrieval_10e.py', './zero-shot-check.py'
]
protocol = 'finetune-retrieval'

# CLIP4Clip takes 5 epochs, in each of which a video comes with each of its 20 captions. Here a
# caption is drawn each time: as many clips in 10 epochs.
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='RepeatDataset',
        times=10,
        dataset=dict(
            type='CaptionVideoDataset',
            data_root=_base_.data_root,
            ann_file='annotations/train.jsonl',
            data_prefix=dict(video='videos'),
            held_out_by='annotations/train.jsonl',
            held_out_share=0.05,
            pipeline=[
                dict(type='OpenVideo', short_side=268, interpolation='nearest', isolate=True),
                dict(type='SampleClipFrames', num_frames=12, mode='random'),
                dict(type='DecodeClip', short_clip='black'),
                dict(type='CropClip', size=224, mode='random'),
                dict(type='TokenizeText'),
                dict(type='PackVideoText'),
            ])))
# When to stop is told by a twentieth of the training videos, not by those of the test.
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _base_.test_dataloader.dataset,
        data_root=_base_.data_root,
        ann_file='annotations/train.jsonl',
        held_out_by='annotations/train.jsonl',
        held_out_share=0.05))
val_evaluator = dict(type='RetrievalMetric')

default_hooks = dict(_base_.best_retrieval, zero_shot_check=_base_.zero_shot_check)
custom_hooks = [
    dict(type='QueryBankHook'), dict(type='ResultFileHook'),
    dict(type='SkippedSampleHook', max_share=0.05), dict(type='ResumeDataHook')
]
