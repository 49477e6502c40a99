"""Measure the video encoder beside a plain form of its maths, frame-wise CLIP, and its products.

    python tools/benchmarks/model.py --sizes b16 --masks 0.5 --precisions fp32 bf16

Shows seconds of the forward pass and of a training step (forward and backward pass of all
parameters), their ratios, and the bytes that a clip keeps for the backward pass. The contestants
take turns, so that a shared machine is equally unfair to all; with --threads 1 their CPU time
hardly feels the others on it. 'einsum' must first be equal to ours, or the tool ends with an error.
Weights are random. docs/performance.md says what each figure and option means.
"""

import argparse
import sys

SIZES = ('tiny', 'b32', 'b16', 'l14', 'h14')
CONTESTANTS = ('ours', 'einsum', 'einsum_fp32', 'clip', 'bound', 'products')
OPTIONS = ('compile', 'checkpointing', 'plain', 'grouped', 'grouped_time', 'flash', 'efficient',
           'cudnn')
PRECISIONS = ('fp32', 'bf16', 'fp16')


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--sizes', nargs='+', default=['b16'], choices=SIZES, help='(default: %(default)s)')
    add('--masks', nargs='+', type=float, default=[0.5],
        help='shares of the patches that are dropped (%(default)s)')
    add('--precisions', nargs='+', default=['fp32', 'bf16'], choices=PRECISIONS,
        help='autocast with fp32 weights (%(default)s)')
    add('--contestants', nargs='+', default=CONTESTANTS,
        help=f'of {" ".join(CONTESTANTS)} (the default), matmul (a large product, for its rate), '
        f'ours+OPTION+... ({" ".join(OPTIONS)})')
    add('--batch', type=int, default=2, help='clips (%(default)s)')
    add('--layers', type=int, help="of the video encoder (the size's)")
    add('--rounds', type=int, default=3, help='turns of each (%(default)s)')
    add('--threads', type=int, help="of torch on the CPU (torch's own choice)")
    add('--device', default='cpu', choices=['cpu', 'cuda'], help='(%(default)s)')
    add('--out', help='JSON file (benchmarks/results/<what>_<hardware>_<date>.json)')
    args = parser.parse_args()
    import torch
    from encoders import measure
    from mmengine.registry import DefaultScope
    from results import save
    if args.threads:
        torch.set_num_threads(args.threads)
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        try:
            rows = measure(args)
        except ValueError as error:
            sys.exit(f'error: {error}')
    save(f'encoder-{"-".join(args.sizes)}', rows, args)


if __name__ == '__main__':
    main()
