"""Samplers."""

from tvtsv2_mm.engine.samplers.alternating_batch_sampler import AlternatingBatchSampler
from tvtsv2_mm.engine.samplers.seeded_sampler import SeededSampler
from tvtsv2_mm.engine.samplers.shard_batch_sampler import ShardBatchSampler

__all__ = ['AlternatingBatchSampler', 'SeededSampler', 'ShardBatchSampler']
