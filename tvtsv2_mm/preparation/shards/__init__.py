"""Shards of a whole corpus, made in parallel."""

from tvtsv2_mm.preparation.shards.make import ShardConfig, ShardSummary, make_shards

__all__ = ['ShardConfig', 'ShardSummary', 'make_shards']
