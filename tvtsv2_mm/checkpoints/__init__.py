from .convert import CheckpointError, to_own_layout
from .description import Description, given_description
from .files import read_state_dict
from .layouts import LAYOUTS, Layout
from .sizes import model_config
from .untrusted import RefusedCheckpointError

__all__ = ['LAYOUTS', 'CheckpointError', 'Description', 'Layout', 'RefusedCheckpointError',
           'given_description', 'model_config', 'read_state_dict', 'to_own_layout']
