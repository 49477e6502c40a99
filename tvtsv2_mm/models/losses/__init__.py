from .global_contrastive import global_contrastive_loss

__all__ = ['global_contrastive_loss']
