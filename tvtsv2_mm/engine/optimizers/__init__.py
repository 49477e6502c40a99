from .trainable_params_constructor import TrainableParamsConstructor

__all__ = ['TrainableParamsConstructor']
