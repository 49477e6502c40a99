"""Samplers."""

from tvtsv2_mm.engine.samplers.alternating_batch_sampler import AlternatingBatchSampler

__all__ = ['AlternatingBatchSampler']
