# python tools/test.py configs/tvtsv2/imagebind-huge_retrieval_msrvtt.py CHECKPOINT
# ImageBind in its own frames. CHECKPOINT: imagebind_huge.pth, to which
# github.com/facebookresearch/ImageBind leads. NON-COMMERCIAL: CC BY-NC-SA 4.0.
# Its own protocol for MSR-VTT is not published.
# What else differs from the original: _base_/models/imagebind_huge.py
_base_ = ['../_base_/models/imagebind_huge.py', '../_base_/protocols/retrieval_msrvtt.py']
model = _base_.protocol_model
test_dataloader = dict(
    batch_size=2,  # of 15 views each
    dataset=dict(pipeline=[*_base_.imagebind_views, *_base_.test_dataloader.dataset.pipeline[4:]]))
