"""Label videos: print the ranked labels and write annotated pictures.

    python tools/demo.py VIDEO "a dog runs" "a cat sleeps" --checkpoint TVTSv2_ViT_B_16.pth
    python tools/demo.py VIDEOS "a dog runs" "a cat sleeps" -C TVTSv2_ViT_B_16.pth --out PICTURES
"""

import argparse
import json
import sys
from contextlib import redirect_stdout
from itertools import count
from pathlib import Path

from tvtsv2_mm.apis.launch.arguments import add_clip_arguments, add_model_arguments
from tvtsv2_mm.utils.processes import importing
from tvtsv2_mm.utils.tables import print_table, printable


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('video', help='a video file, its address, or a folder of videos')
    parser.add_argument('labels', nargs='+', metavar='label', help='what the video may show')
    add_model_arguments(parser)
    add_clip_arguments(parser)
    parser.add_argument('--prompt', nargs='+', default=['{}'], help="templates with one {} for the "
                        "label; the paper's is 'a person {}' (by default the label as it is)")
    parser.add_argument('--top-k', type=int, default=5, help='labels to show (%(default)s)')
    parser.add_argument('--out', help='picture to write (<name of the video>_labels.png); of a '
                        'folder of videos: folder of their pictures (none)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    return parser


def main() -> None:
    """Label."""
    parser = build_parser()
    args = parser.parse_args()
    with importing():
        from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
        from tvtsv2_mm.apis.launch.runs import check_checkpoint, check_file
    is_folder = Path(args.video).is_dir()
    picture = args.out or f'{Path(args.video).stem}_labels.png'
    out = args.out if is_folder else picture
    try:
        from tvtsv2_mm.apis.pictures import write_png
        if not is_folder and not picture.lower().endswith('.png'):
            raise ValueError(f'--out must end in .png, got {picture}')
        check_file(args.video, 'video')
        args.checkpoint = check_checkpoint(args.checkpoint)
        with redirect_stdout(sys.stderr):
            infer = TVTSv2Inferencer(args.config, args.checkpoint, device=args.device,
                                     dtype=args.dtype, clips=args.clips, frames=args.frames,
                                     show_progress=is_folder)
            result = infer(args.video, task='zero-shot', labels=args.labels, prompts=args.prompt,
                           top_k=args.top_k, skip_failed=is_folder, draw=not is_folder,
                           out_dir=out if is_folder else None)
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        parser.error(str(error))
    if not is_folder:
        write_png(picture, result['visualization'][0])
    if args.json:
        print(json.dumps(dict(predictions=result['predictions'], failed=result['failed'],
                              pictures=out)))
        return
    print_table([['video', 'rank', 'label', 'cosine', 'probability'], *(
        [prediction['video'], rank, label, f'{score:.4f}', f'{share:.1%}']
        for prediction in result['predictions']
        for rank, label, score, share in zip(
            count(1), prediction['labels'], prediction['scores'], prediction['probabilities'],
            strict=False))])
    for failure in result['failed']:
        print(printable(f'failed: {failure["video"]}: {failure["reason"]}'))
    if out is not None:
        print(f'pictures: {out}' if is_folder else f'picture: {out}')


if __name__ == '__main__':
    main()
