from .metrics import (
    MultipleChoiceAccuracy,
    PairedMetric,
    RetrievalMetric,
    SortingAccuracy,
    TopKAccuracy,
)

__all__ = ['MultipleChoiceAccuracy', 'PairedMetric', 'RetrievalMetric', 'SortingAccuracy',
           'TopKAccuracy']
