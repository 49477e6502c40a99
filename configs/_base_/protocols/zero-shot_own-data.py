# Zero-shot recognition on a folder of videos and a csv (path,label): tools/data/README.md.
_base_ = './zero-shot.py'
benchmark = 'own data'
protocol_model = dict(cls_head=dict(classes='data/own/classes.txt'))
test_dataloader = dict(
    dataset=dict(
        type='LabeledVideoDataset',
        ann_file='data/own/annotations/test.txt',
        data_prefix=dict(video='data/own/videos'),
        # Frames and crop are the model's.
        pipeline=[
            dict(type='OpenVideo'),
            dict(type='SampleClipFrames', mode='middle', num_clips=1),
            dict(type='DecodeClip'),
            dict(type='CropClip', mode='center'),
            dict(type='PackVideoText'),
        ]))
