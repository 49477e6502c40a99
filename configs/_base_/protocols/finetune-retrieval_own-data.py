# Fine-tuning for retrieval on own captions.
#   data_root/                  the videos, any layout
#     captions.jsonl            tools/data/README.md: captions
#     transcripts.jsonl         if there is one: batches of transcripts, which are sorted as well,
#                               come in between; model.sorting_head.loss_weight=0 sorts none
_base_ = [
    '../datasets/own-data.py', '../schedules/finetune-retrieval_10e.py', './zero-shot-check.py',
    '../default_runtime.py'
]
protocol = 'finetune-retrieval'

random_clip = [*_base_.random_clip, _base_.pack]
train_dataloader = dict(
    _base_.train_loader,
    batch_size=16,
    dataset=dict(
        type='PresentDatasets',
        datasets=[
            dict(
                type='CaptionVideoDataset',
                ann_file='captions.jsonl',
                held_out_by='captions.jsonl',
                pipeline=random_clip),
            dict(
                type='TranscriptVideoDataset',
                ann_file='transcripts.jsonl',
                held_out_by='captions.jsonl',
                pipeline=[_base_.segments, *random_clip]),
        ]))
# The held-out videos say when to stop.
val_dataloader = dict(
    _base_.held_out_loader,
    batch_size=16,
    dataset=dict(
        type='CaptionVideoDataset',
        ann_file='captions.jsonl',
        held_out_by='captions.jsonl',
        test_mode=True,
        pipeline=_base_.middle_clip))
val_evaluator = dict(type='RetrievalMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type='TestLoop')

# The sorting head at the rate of pre-training, where it was new.
optim_wrapper = dict(paramwise_cfg=dict(lr_mult={'sorting_head': 1e3}))
default_hooks = dict(_base_.best_retrieval, zero_shot_check=_base_.zero_shot_check)
custom_hooks = _base_.own_data_hooks
