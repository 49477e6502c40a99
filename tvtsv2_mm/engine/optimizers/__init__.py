from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .trainable_params_constructor import TrainableParamsConstructor

__all__ = ['BFloat16OptimWrapper', 'TrainableParamsConstructor']
