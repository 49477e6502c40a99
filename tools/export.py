"""Write the video tower and the text tower as ONNX and torch.export files, and check them.

    python tools/export.py OUT --checkpoint TVTSv2_ViT_B_16.pth

Each takes any batch: video uint8 (B, T, 3, H, W) in RGB, tokens int64 (B, L); each gives float32
(B, E), l2-normalised. Every file is run at three batch sizes and compared with the model.
"""

import argparse

from tvtsv2_mm.utils.processes import importing
from tvtsv2_mm.utils.tables import print_table


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='folder of the files')
    parser.add_argument('--checkpoint', '-C', required=True, help='checkpoint of any known layout')
    parser.add_argument('--config', help='config file; not needed for a TVTSv2 release or a '
                        'checkpoint that this package wrote')
    parser.add_argument('--formats', nargs='+', choices=('onnx', 'pt2'), default=('onnx', 'pt2'))
    return parser


def main() -> None:
    """Export."""
    parser = build_parser()
    args = parser.parse_args()
    with importing():
        from tvtsv2_mm.apis.export import export_towers
        from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
        from tvtsv2_mm.apis.launch.runs import check_checkpoint
    try:
        args.checkpoint = check_checkpoint(args.checkpoint)
        model = TVTSv2Inferencer(args.config, args.checkpoint, device='cpu').model
        differences = export_towers(model, args.out, tuple(args.formats))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    rows = [[str(path), f'{difference:.1e}'] for path, difference in differences.items()]
    print_table([['file', 'largest difference from the model'], *rows])


if __name__ == '__main__':
    main()
