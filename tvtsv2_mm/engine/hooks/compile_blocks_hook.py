"""torch.compile for the blocks of the video encoder."""

from types import MethodType
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvtsv2_mm.models.layers import SpaceTimeBlock
from tvtsv2_mm.registry import HOOKS
from tvtsv2_mm.utils.config_errors import check_options


@HOOKS.register_module()
class CompileBlocksHook(Hook):
    """Compile each block of the video encoder by itself, for training and for tests.

    All blocks have one shape, so they are compiled once; what stands around them (batches of
    transcripts and of captions in turn, texts of any length) compiles nothing anew. mmengine's own
    ``compile=True`` compiles the whole step, again and again. ``tools/train.py`` and
    ``tools/test.py`` make this hook of that option.

    What runs around a block stays outside: hooks of ``fully_shard``, and checkpointing.

    Args:
        options: of ``torch.compile``: ``mode``, ``backend``, ``dynamic``, ``fullgraph``, ...
    """

    def __init__(self, **options: Any) -> None:
        check_options(options, torch.compile, 'compile')
        self.options = options

    def before_run(self, runner: Runner) -> None:
        """Replace the blocks' ``forward``; names of parameters stay.

        Raises:
            ValueError: the model has no such blocks.
        """
        blocks = [module for module in runner.model.modules()
                  if isinstance(module, SpaceTimeBlock)]
        if not blocks:
            raise ValueError('compile: the model has no blocks of a video encoder '
                             '(SpaceTimeBlock); leave compile out of the config')
        # A method that is bound to its block, so that a copy of the block runs the copy's weights.
        forward = torch.compile(SpaceTimeBlock.forward, **self.options)
        for block in blocks:
            if 'forward' not in vars(block):  # a run may train and then test
                block.forward = MethodType(forward, block)
        runner.logger.info(f'{len(blocks)} blocks will be compiled: the first steps are slow')
