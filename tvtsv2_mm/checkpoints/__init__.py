from .convert import to_own_layout
from .description import Description, given_description
from .errors import CheckpointError, RefusedCheckpointError
from .files import read_state_dict, read_weights
from .layouts import LAYOUTS, Layout
from .model_config import config_of_checkpoint  # before the function that takes the module's name
from .sizes import model_config

__all__ = ['LAYOUTS', 'CheckpointError', 'Description', 'Layout', 'RefusedCheckpointError',
           'config_of_checkpoint', 'given_description', 'model_config', 'read_state_dict',
           'read_weights', 'to_own_layout']
