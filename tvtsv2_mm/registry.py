"""Registries of this package: children of MMAction2's, scope ``tvtsv2_mm``.

``locations`` lets a Runner find every part by its name: no ``custom_imports`` of single modules.
There is a child of each registry that a Runner builds from, also where this package registers
nothing yet, for mmengine warns of a scope that lacks one.
"""

from mmaction import registry as mmaction
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import Registry


def _child(parent: Registry, location: str) -> Registry:
    return Registry(
        parent.name, parent=parent, scope='tvtsv2_mm', locations=[f'tvtsv2_mm.{location}'])


MODELS = _child(mmaction.MODELS, 'models')
DATASETS = _child(mmaction.DATASETS, 'datasets')
TRANSFORMS = _child(mmaction.TRANSFORMS, 'datasets.transforms')
FUNCTIONS = Registry('function', parent=MMENGINE_FUNCTIONS, scope='tvtsv2_mm',
                     locations=['tvtsv2_mm.datasets'])
METRICS = _child(mmaction.METRICS, 'evaluation')

DATA_SAMPLERS = _child(mmaction.DATA_SAMPLERS, 'engine.samplers')
HOOKS = _child(mmaction.HOOKS, 'engine.hooks')
OPTIM_WRAPPERS = _child(mmaction.OPTIM_WRAPPERS, 'engine.optimizers')
OPTIM_WRAPPER_CONSTRUCTORS = _child(mmaction.OPTIM_WRAPPER_CONSTRUCTORS, 'engine.optimizers')
STRATEGIES = _child(MMENGINE_STRATEGIES, 'engine.strategies')

INFERENCERS = _child(mmaction.INFERENCERS, 'apis.inferencer')

EVALUATOR = _child(mmaction.EVALUATOR, 'engine')
LOG_PROCESSORS = _child(mmaction.LOG_PROCESSORS, 'engine')
LOOPS = _child(mmaction.LOOPS, 'engine')
MODEL_WRAPPERS = _child(mmaction.MODEL_WRAPPERS, 'engine')
OPTIMIZERS = _child(mmaction.OPTIMIZERS, 'engine')
PARAM_SCHEDULERS = _child(mmaction.PARAM_SCHEDULERS, 'engine')
RUNNERS = _child(mmaction.RUNNERS, 'engine')
RUNNER_CONSTRUCTORS = _child(mmaction.RUNNER_CONSTRUCTORS, 'engine')
VISBACKENDS = _child(mmaction.VISBACKENDS, 'engine')
VISUALIZERS = _child(mmaction.VISUALIZERS, 'engine')
WEIGHT_INITIALIZERS = _child(mmaction.WEIGHT_INITIALIZERS, 'engine')
