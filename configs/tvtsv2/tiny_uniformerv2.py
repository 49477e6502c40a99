# python tools/train.py configs/tvtsv2/tiny_uniformerv2.py
# The same on a UniFormerV2 of MMAction2, which begins as a CLIP: no time in it, until it learns it.
_base_ = './tiny_videomae.py'
model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type='mmaction.UniFormerV2',
            input_resolution=64,
            patch_size=16,
            width=96,
            layers=3,
            heads=3,
            t_size=8,
            no_lmhra=False,
            double_lmhra=True,
            return_list=[1, 2],
            n_layers=2,
            n_dim=96,
            n_head=3,
            mlp_dropout=[0.0, 0.0],
            clip_pretrained=False)))
