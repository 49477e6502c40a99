from .convert import CheckpointError, to_own_layout
from .files import read_state_dict
from .layouts import LAYOUTS, Layout

__all__ = ['LAYOUTS', 'CheckpointError', 'Layout', 'read_state_dict', 'to_own_layout']
