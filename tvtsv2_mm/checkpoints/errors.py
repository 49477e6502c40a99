"""What is wrong with a checkpoint."""

import pickle


class CheckpointError(ValueError):
    """A checkpoint cannot be read or does not fit: layout, keys, sizes or values."""


class RefusedCheckpointError(CheckpointError, pickle.UnpicklingError):
    """A checkpoint needs more than tensors and plain values."""
