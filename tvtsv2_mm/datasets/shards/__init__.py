"""Corpora in WebDataset shards: their order, their reading, and what is put into them."""

from tvtsv2_mm.datasets.shards.sharded_dataset import (
    ShardedCaptionDataset,
    ShardedTranscriptDataset,
)

__all__ = ['ShardedCaptionDataset', 'ShardedTranscriptDataset']
