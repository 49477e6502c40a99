from .convert import to_own_layout
from .errors import CheckpointError, RefusedCheckpointError
from .files import read_state_dict, read_weights
from .layouts import LAYOUTS, Layout
from .sizes import Hints, model_config, read_hints

__all__ = ['LAYOUTS', 'CheckpointError', 'Hints', 'Layout', 'RefusedCheckpointError',
           'model_config', 'read_hints', 'read_state_dict', 'read_weights', 'to_own_layout']
