"""Find videos by text among features of tools/extract_features.py.

    python tools/search.py OUT "a dog runs" "two people talk" --checkpoint TVTSv2_ViT_B_16.pth
"""

import argparse
import json
import sys
from contextlib import redirect_stdout

from tvtsv2_mm.apis.launch.arguments import add_model_arguments
from tvtsv2_mm.utils.tables import print_table


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('features', help='folder that tools/extract_features.py wrote')
    parser.add_argument('texts', nargs='+', metavar='text', help='what to look for')
    add_model_arguments(parser)
    parser.add_argument('--top-k', type=int, default=10, help='videos of a text (%(default)s)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    return parser


def find(args: argparse.Namespace) -> list[list[tuple[str, float]]]:
    """Videos and cosines for each text."""
    from tvtsv2_mm.apis.features import load_features
    from tvtsv2_mm.apis.features.search import search
    from tvtsv2_mm.apis.features.shards import checkpoint_sha256
    from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
    from tvtsv2_mm.apis.launch.runs import check_checkpoint
    features = load_features(args.features)
    args.checkpoint = check_checkpoint(args.checkpoint)
    if (checkpoint_sha256(args.features, args.checkpoint)
            != features.meta['checkpoint_sha256']):
        raise ValueError(f'{args.features} was made with another checkpoint '
                         f'({features.meta["checkpoint"]}) than {args.checkpoint}')
    inferencer = TVTSv2Inferencer(args.config, args.checkpoint, device=args.device,
                                  dtype=args.dtype, texts_only=True, show_progress=False)
    return search(features, inferencer.embed_texts(args.texts), args.top_k)


def main() -> None:
    """Search."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        with redirect_stdout(sys.stderr):
            found = find(args)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    if args.json:
        print(json.dumps(dict(predictions=[
            dict(text=text, videos=[video for video, _ in ranking],
                 scores=[score for _, score in ranking])
            for text, ranking in zip(args.texts, found, strict=True)])))
        return
    print_table([['text', 'rank', 'video', 'cosine'], *(
        [text, rank, video, f'{score:.4f}']
        for text, ranking in zip(args.texts, found, strict=True)
        for rank, (video, score) in enumerate(ranking, 1))])


if __name__ == '__main__':
    main()
