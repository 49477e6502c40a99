# Weights, gradients and optimiser state sharded over all GPUs; checkpoints are folders
# (docs/scale.md). Behind a size's other bases.
runner_type = 'FlexibleRunner'
strategy = dict(
    type='tvtsv2_mm.FullyShardStrategy',
    mixed_precision=dict(param_dtype='bfloat16', reduce_dtype='float32'),
    activation_checkpointing=False)
