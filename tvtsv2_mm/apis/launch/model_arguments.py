"""Arguments that the tools around the inferencer share."""

import argparse

from tvtsv2_mm.apis.clips import CLIP_KINDS
from tvtsv2_mm.apis.inferencer import DTYPES


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which model runs where."""
    parser.add_argument('--checkpoint', '-C', required=True, help='checkpoint of any known layout')
    parser.add_argument('--config', help='config file; not needed for a TVTSv2 release or a '
                        'checkpoint that this package wrote')
    parser.add_argument('--device', help='cpu, cuda, cuda:1; by default a GPU where there is one')
    parser.add_argument('--dtype', choices=tuple(DTYPES), default='float32')


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which pixels of a video the model sees."""
    parser.add_argument('--clips', choices=CLIP_KINDS, default='protocol',
                        help="'protocol': the frames and pixels that the model is evaluated with "
                        "(the default); 'feature-script': those of the release's script for "
                        'features')
