from .global_contrastive import global_contrastive_loss
from .global_sigmoid import global_sigmoid_loss

__all__ = ['global_contrastive_loss', 'global_sigmoid_loss']
