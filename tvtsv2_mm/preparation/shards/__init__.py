"""Shards of a whole corpus, made in parallel."""

from tvtsv2_mm.utils.extras import needed_for

with needed_for('making shards'):
    from tvtsv2_mm.preparation.shards.make import ShardConfig, ShardSummary, make_shards

__all__ = ['ShardConfig', 'ShardSummary', 'make_shards']
