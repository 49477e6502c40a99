# python tools/test.py configs/tvtsv2/xclip-b16_zero-shot_hmdb51_published.py CHECKPOINT
# X-CLIP-B/16 (Ni et al., arXiv 2208.02816), run by transformers. CHECKPOINT is the folder
# huggingface.co/microsoft/xclip-base-patch16-zero-shot (32 frames); licence of the weights: MIT.
# In its authors' protocol: a frame from the middle of each of 32 parts, one view, the class name
# alone, whose names are theirs. Their README reports 44.6 % (github.com/microsoft/VideoX).
_base_ = './xclip-b16_zero-shot_hmdb51.py'
protocol_of = 'X-CLIP, arXiv 2208.02816'
model = dict(cls_head=dict(prompts=['{}']))
_steps = _base_.test_dataloader.dataset.pipeline
test_dataloader = dict(
    dataset=dict(pipeline=[
        dict(type='OpenVideo', short_side=256, interpolation='cv2_bilinear'),
        dict(_steps[1], spacing='index'), *_steps[2:]
    ]))
