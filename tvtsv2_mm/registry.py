"""Registries of this package: children of MMAction2's, scope ``tvtsv2_mm``.

``locations`` lets a Runner find every part by its name: no ``custom_imports`` of single modules.
"""

from mmaction.registry import DATA_SAMPLERS as MMACTION_DATA_SAMPLERS
from mmaction.registry import DATASETS as MMACTION_DATASETS
from mmaction.registry import HOOKS as MMACTION_HOOKS
from mmaction.registry import METRICS as MMACTION_METRICS
from mmaction.registry import MODELS as MMACTION_MODELS
from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMACTION_OPTIM_WRAPPER_CONSTRUCTORS
from mmaction.registry import OPTIM_WRAPPERS as MMACTION_OPTIM_WRAPPERS
from mmaction.registry import TRANSFORMS as MMACTION_TRANSFORMS
from mmengine.registry import Registry


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope='tvtsv2_mm', locations=list(locations))


MODELS = _child('model', MMACTION_MODELS, 'tvtsv2_mm.models')
DATASETS = _child('dataset', MMACTION_DATASETS, 'tvtsv2_mm.datasets')
TRANSFORMS = _child('transform', MMACTION_TRANSFORMS, 'tvtsv2_mm.datasets.transforms')
DATA_SAMPLERS = _child('data sampler', MMACTION_DATA_SAMPLERS, 'tvtsv2_mm.engine.samplers')
HOOKS = _child('hook', MMACTION_HOOKS, 'tvtsv2_mm.engine.hooks')
OPTIM_WRAPPERS = _child('optim_wrapper', MMACTION_OPTIM_WRAPPERS, 'tvtsv2_mm.engine.optimizers')
OPTIM_WRAPPER_CONSTRUCTORS = _child('optimizer wrapper constructor',
                                    MMACTION_OPTIM_WRAPPER_CONSTRUCTORS,
                                    'tvtsv2_mm.engine.optimizers')
METRICS = _child('metric', MMACTION_METRICS, 'tvtsv2_mm.evaluation')
