# python tools/train.py configs/tvtsv2/tiny_videomae.py
# Transcript sorting, contrast and the partly frozen text encoder on a VideoMAE of MMAction2, from
# random weights. With those of MMAction2:
#     backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=CHECKPOINT))
_base_ = './tiny_pretrain.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='OpenMMLabBackbone',
        backbone=dict(
            type='mmaction.VisionTransformer',
            img_size=64,
            patch_size=16,
            embed_dims=96,
            depth=3,
            num_heads=3,
            num_frames=8),
        num_frames=8,
        image_size=64,
        embed_dim=64))
# It leaves no patches out: the pipelines are without the tube mask.
train_dataloader = dict(
    dataset=dict(datasets=[
        dict(type='RepeatDataset', times=10, dataset=dict(data, pipeline=[
            step for step in data.pipeline if step.type != 'RandomTubeMask']))
        for data in (_base_.transcripts_train, _base_.captions_train)
    ]))
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
