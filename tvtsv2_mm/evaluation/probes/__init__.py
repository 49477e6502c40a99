from .cache import FeatureCache, extract_features, read_cache, write_cache
from .fitting import PROBES, fit_probe

__all__ = ['PROBES', 'FeatureCache', 'extract_features', 'fit_probe', 'read_cache', 'write_cache']
