from .convert import CheckpointError, to_own_layout
from .files import read_state_dict
from .layouts import LAYOUTS, Layout
from .sizes import Hints, model_config, read_hints
from .untrusted import RefusedCheckpointError

__all__ = ['LAYOUTS', 'CheckpointError', 'Hints', 'Layout', 'RefusedCheckpointError',
           'model_config', 'read_hints', 'read_state_dict', 'to_own_layout']
