# Moving shapes, narrated; made by: python tools/data/make_narrated_shapes.py
# The videos are small and read hundreds of times: decoded once and kept in memory, in the training
# process itself, which is faster here than workers with a cache each.
data_root = 'data/narrated_shapes'

open_cached = dict(type='OpenVideo', cache_mb=512)
random_frames = dict(type='SampleClipFrames', num_frames=8, mode='random')
middle_frames = dict(type='SampleClipFrames', num_frames=8, mode='middle')
transcript_segments = dict(
    type='SampleTranscriptSegments', num_segments=4, segment_seconds=(3, 3), gap_seconds=1.0)
decode = dict(type='DecodeClip')
tokenize = dict(type='TokenizeText', context_length=32)
tube_mask = dict(type='RandomTubeMask', patch_size=16, ratio=0.5)
pack = dict(type='PackVideoText')

# Training.
transcripts_train = dict(
    type='TranscriptVideoDataset',
    data_root=data_root,
    ann_file='annotations/transcripts_train.jsonl',
    data_prefix=dict(video='videos'),
    pipeline=[transcript_segments, open_cached, random_frames, decode, tokenize, tube_mask, pack])
captions_train = dict(
    type='CaptionVideoDataset',
    data_root=data_root,
    ann_file='annotations/captions_train.jsonl',
    data_prefix=dict(video='videos'),
    pipeline=[open_cached, random_frames, decode, tokenize, tube_mask, pack])
pictures_train = dict(captions_train, ann_file='annotations/pictures_train.jsonl')
# Whole paths: MMAction2's programs open ann_file themselves.
motions_train = dict(
    type='tvtsv2_mm.LabeledVideoDataset',
    data_root='',
    ann_file=f'{data_root}/annotations/motions_train.txt',
    data_prefix=dict(video=f'{data_root}/videos'),
    pipeline=[open_cached, middle_frames, decode, pack])

# Evaluation: the middle frame of each interval, no mask.
transcripts_val = dict(
    type='TranscriptVideoDataset',
    data_root=data_root,
    ann_file='annotations/transcripts_val.jsonl',
    data_prefix=dict(video='videos'),
    test_mode=True,
    pipeline=[transcript_segments, dict(type='OpenVideo'), middle_frames, decode, tokenize, pack])
captions_test = dict(
    type='CaptionVideoDataset',
    data_root=data_root,
    ann_file='annotations/captions_test.jsonl',
    data_prefix=dict(video='videos'),
    test_mode=True,
    pipeline=[dict(type='OpenVideo'), middle_frames, decode, tokenize, pack])
motions_test = dict(
    motions_train,
    ann_file=f'{data_root}/annotations/motions_test.txt',
    test_mode=True,
    pipeline=[dict(type='OpenVideo'), middle_frames, decode, pack])
# The motions in words, in the order of the labels.
motions_in_words = dict(
    type='ZeroShotHead',
    classes=['moving left', 'moving right', 'moving up', 'moving down', 'growing', 'shrinking'],
    prompts=[
        f'a {colour} {shape} {{}}'
        for colour in ('red', 'green', 'blue', 'yellow', 'purple', 'white')
        for shape in ('circle', 'square', 'triangle')
    ])
# What fine-tuning costs; see ../protocols/zero-shot-check.py.
motions_check = dict(
    type='tvtsv2_mm.ZeroShotCheckHook',
    benchmark='six motions',
    cls_head=motions_in_words,
    dataloader=dict(
        batch_size=54,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=motions_test),
    evaluator=dict(type='TopKAccuracy', topk=(1, )))
