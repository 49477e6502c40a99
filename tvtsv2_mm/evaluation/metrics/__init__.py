from .multiple_choice_accuracy import MultipleChoiceAccuracy
from .paired_metric import PairedMetric
from .retrieval_metric import RetrievalMetric
from .sorting_accuracy import SortingAccuracy
from .top_k_accuracy import TopKAccuracy

__all__ = ['MultipleChoiceAccuracy', 'PairedMetric', 'RetrievalMetric', 'SortingAccuracy',
           'TopKAccuracy']
