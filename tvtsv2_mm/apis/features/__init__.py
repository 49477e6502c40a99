"""Features of a whole corpus: extracted in parts, kept in shards with an index, searched."""

from tvtsv2_mm.apis.features.shards import FeatureSet, FeatureStore, load_features

__all__ = ['FeatureSet', 'FeatureStore', 'load_features']
