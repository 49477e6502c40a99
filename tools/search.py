"""Find videos by text among features of tools/extract_features.py.

    python tools/search.py OUT "a dog runs" "two people talk" --checkpoint TVTSv2_ViT_B_16.pth
"""

import argparse

from terminaltables import AsciiTable

from tvtsv2_mm.apis.features import load_features
from tvtsv2_mm.apis.features.search import search
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.launch import check_file
from tvtsv2_mm.apis.tool_arguments import add_model_arguments
from tvtsv2_mm.evaluation.results import describe_checkpoint


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('features', help='folder that tools/extract_features.py wrote')
    parser.add_argument('texts', nargs='+', metavar='text', help='what to look for')
    add_model_arguments(parser)
    parser.add_argument('--top-k', type=int, default=10, help='videos of a text (%(default)s)')
    return parser


def main() -> None:
    """Search."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        features = load_features(args.features)
        check_file(args.checkpoint, 'checkpoint')
        sha256 = describe_checkpoint(args.checkpoint, None)['sha256']
        if sha256 != features.meta['checkpoint_sha256']:
            raise ValueError(f'{args.features} was made with another checkpoint '
                             f'({features.meta["checkpoint"]}) than {args.checkpoint}')
        inferencer = TVTSv2Inferencer(args.config, args.checkpoint, device=args.device,
                                      dtype=args.dtype, show_progress=False)
        found = search(features, inferencer.embed_texts(args.texts), args.top_k)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    for text, ranking in zip(args.texts, found, strict=True):
        rows = [[i, video, f'{score:.4f}'] for i, (video, score) in enumerate(ranking, 1)]
        print(AsciiTable([['', 'video', 'cosine'], *rows], title=text).table)


if __name__ == '__main__':
    main()
