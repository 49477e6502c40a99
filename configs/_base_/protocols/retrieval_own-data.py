# Zero-shot retrieval on a folder of videos and a csv (path,caption): tools/data/README.md.
_base_ = './retrieval.py'
benchmark = 'own data'
test_dataloader = dict(
    dataset=dict(
        ann_file='data/own/annotations/test.jsonl',
        data_prefix=dict(video='data/own/videos'),
        # Frames, crop and context are the model's.
        pipeline=[
            dict(type='OpenVideo'),
            dict(type='SampleClipFrames', mode='middle', num_clips=1),
            dict(type='DecodeClip'),
            dict(type='CropClip', mode='center'),
            dict(type='TokenizeText'),
            dict(type='PackVideoText'),
        ]))
