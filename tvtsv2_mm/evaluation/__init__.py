from .metrics import MultipleChoiceAccuracy, RetrievalMetric, SortingAccuracy, TopKAccuracy

__all__ = ['MultipleChoiceAccuracy', 'RetrievalMetric', 'SortingAccuracy', 'TopKAccuracy']
