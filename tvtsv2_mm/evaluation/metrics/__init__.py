from .multiple_choice_accuracy import MultipleChoiceAccuracy
from .retrieval_metric import RetrievalMetric
from .sorting_accuracy import SortingAccuracy
from .top_k_accuracy import TopKAccuracy

__all__ = ['MultipleChoiceAccuracy', 'RetrievalMetric', 'SortingAccuracy', 'TopKAccuracy']
