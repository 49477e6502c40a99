# python tools/data/csv_to_annotations.py MY.csv --videos MY_VIDEOS
# python tools/test.py configs/tvtsv2/vit-b16_retrieval_own-data.py TVTSv2_ViT_B_16.pth \
#     --cfg-options test_dataloader.dataset.data_prefix.video=MY_VIDEOS
# Zero-shot retrieval on a folder of videos and a csv (path,caption): tools/data/README.md.
_base_ = ['../_base_/models/tvtsv2_vit-b16.py', '../_base_/default_runtime.py']

model = dict(sorting_head=None)
test_dataloader = dict(
    batch_size=16,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CaptionVideoDataset',
        ann_file='data/own/annotations/test.jsonl',
        data_prefix=dict(video='data/own/videos'),
        test_mode=True,
        pipeline=[
            dict(type='OpenVideo', short_side=268),
            dict(type='SampleClipFrames', num_frames=12, mode='middle'),
            dict(type='DecodeClip'),
            dict(type='CropClip', size=224, mode='center'),
            dict(type='TokenizeText'),
            dict(type='PackVideoText'),
        ]))
test_evaluator = dict(type='RetrievalMetric', dsl=True)
test_cfg = dict(type='TestLoop')
