# python tools/train.py configs/tvtsv2/tiny_pretrain_own-data.py \
#     --cfg-options data_root=MY_VIDEOS
# On a CPU, from random weights: to try own data in minutes. Rates and start are tiny_pretrain.py's.
_base_ = ['../_base_/models/tvtsv2_tiny.py', '../_base_/protocols/pretrain_own-data.py']
model = dict(backbone=dict(time_init='proj', temporal_std=0.4))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, betas=(0.9, 0.98)),
    paramwise_cfg=dict(
        _delete_=True,
        lr_mult={'conv1': 0.05, 'positional_embedding': 5.0, 'temporal_embedding': 5.0}))
