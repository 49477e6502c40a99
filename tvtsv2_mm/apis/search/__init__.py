"""Find moments and videos among extracted features: by texts, examples, and what is said."""

from tvtsv2_mm.apis.search.opening import open_search
from tvtsv2_mm.apis.search.searcher import Moment, Searcher

__all__ = ['Moment', 'Searcher', 'open_search']
