from .cache import FeatureCache, extract_features, read_cache, write_cache
from .fitting import PROBES, fit_probe, possible_probes

__all__ = ['PROBES', 'FeatureCache', 'extract_features', 'fit_probe', 'possible_probes',
           'read_cache', 'write_cache']
