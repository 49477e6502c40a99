# python tools/test.py configs/tvtsv2/pe-b16_retrieval_msrvtt.py CHECKPOINT
# PE-core B/16 (Bolya et al., arXiv 2504.13181), frame by frame. CHECKPOINT: PE-Core-B16-224.pt of
# huggingface.co/facebook/PE-Core-B16-224; licence of the weights: Apache-2.0.
_base_ = ['../_base_/models/pe-frames_b16.py', '../_base_/protocols/retrieval_msrvtt.py']
model = _base_.protocol_model
test_dataloader = dict(
    dataset=dict(pipeline=[*_base_.pe_frames, *_base_.test_dataloader.dataset.pipeline[3:]]))
