"""Label one video: print the ranked labels and write an annotated picture.

    python tools/demo.py VIDEO "a dog runs" "a cat sleeps" --checkpoint TVTSv2_ViT_B_16.pth
"""

import argparse
from pathlib import Path

from terminaltables import AsciiTable

from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.launch import check_file
from tvtsv2_mm.apis.pictures import write_png
from tvtsv2_mm.apis.tool_arguments import add_model_arguments


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('video', help='a video file or its address')
    parser.add_argument('labels', nargs='+', metavar='label', help='what the video may show')
    add_model_arguments(parser)
    parser.add_argument('--prompt', nargs='+', default=['{}'], help="templates with one {} for the "
                        "label; the paper's is 'a person {}' (by default the label as it is)")
    parser.add_argument('--top-k', type=int, default=5, help='labels to show (%(default)s)')
    parser.add_argument('--out', help='picture to write (<name of the video>_labels.png)')
    return parser


def main() -> None:
    """Label."""
    parser = build_parser()
    args = parser.parse_args()
    out = Path(args.out or f'{Path(args.video).stem}_labels.png')
    try:
        if out.suffix.lower() != '.png':
            raise ValueError(f'--out must end in .png, got {out}')
        check_file(args.video, 'video')
        check_file(args.checkpoint, 'checkpoint')
        infer = TVTSv2Inferencer(args.config, args.checkpoint, device=args.device,
                                 dtype=args.dtype, show_progress=False)
        result = infer(args.video, task='zero-shot', labels=args.labels, prompts=args.prompt,
                       top_k=args.top_k, draw=True)
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        parser.error(str(error))
    [prediction], [picture] = result['predictions'], result['visualization']
    rows = [[i, label, f'{score:.4f}', f'{share:.1%}'] for i, (label, score, share) in enumerate(
        zip(prediction['labels'], prediction['scores'], prediction['probabilities'], strict=True),
        1)]
    print(AsciiTable([['', 'label', 'cosine', 'probability'], *rows], title=args.video).table)
    write_png(out, picture)
    print(f'picture: {out}')


if __name__ == '__main__':
    main()
