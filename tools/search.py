"""Find the moment among features of tools/extract_features.py: by texts, videos and stills.

    python tools/search.py OUT "a dog runs" "two people talk" --checkpoint TVTSv2_ViT_B_16.pth
    python tools/search.py OUT "on a beach" --like clip.mp4 photo.jpg --sum 1 0.5 0.5 -C ...
    python tools/search.py OUT "a dog" --not "a cat" -C ...
"""

import argparse
import json
import sys
from contextlib import redirect_stdout

from tvtsv2_mm.apis.launch.arguments import add_model_arguments
from tvtsv2_mm.utils.processes import importing
from tvtsv2_mm.utils.tables import clock_time, print_table


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('features', help='folder that tools/extract_features.py wrote')
    parser.add_argument('texts', nargs='*', metavar='text', help='what to look for')
    parser.add_argument('--like', nargs='+', default=[], metavar='FILE',
                        help='look for what is like a video or a still')
    parser.add_argument('--not', dest='unwanted', nargs='+', default=[], metavar='TEXT',
                        help='and unlike this: half of it is taken away from each query')
    parser.add_argument('--sum', nargs='*', type=float, metavar='WEIGHT',
                        help='look for the weighted sum of all texts and files, in their order '
                        '(1 each), instead of for each')
    add_model_arguments(parser)
    parser.add_argument('--top-k', type=int, default=10, help='moments of a query (%(default)s)')
    parser.add_argument('--per-video', action='store_true',
                        help='videos instead of moments, by their best window')
    parser.add_argument('--folder', default='', help='of the videos, that alone is searched')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    return parser


def main() -> None:
    """Search."""
    parser = build_parser()
    args = parser.parse_intermixed_args()  # texts may stand behind options, or be none
    with importing():
        from tvtsv2_mm.apis.search import open_search
        from tvtsv2_mm.apis.search.queries import build_queries, embed_queries
    try:
        with redirect_stdout(sys.stderr):
            queries = build_queries(args.texts, args.like, args.unwanted, args.sum)
            searcher, inferencer = open_search(
                args.features, args.checkpoint, config=args.config, device=args.device,
                dtype=args.dtype, texts_only=not args.like, exact=True)
            found = [searcher.search(vector, args.top_k, per_video=args.per_video,
                                     folder=args.folder, speech=query.is_told)
                     for query, vector in zip(queries, embed_queries(inferencer, queries),
                                              strict=True)]
    except (FileNotFoundError, RuntimeError, ValueError) as error:
        parser.error(str(error))
    if args.json:
        print(json.dumps(dict(predictions=[
            dict(text=query.name, videos=[moment.video for moment in moments],
                 scores=[moment.score for moment in moments],
                 moments=[vars(moment) for moment in moments])
            for query, moments in zip(queries, found, strict=True)])))
        return
    of_speech = searcher.speech is not None
    of_moments = any(moment.span for moments in found for moment in moments)
    heading = ['text', 'rank', 'video', *(['moment'] if of_moments else []),
               'score' if of_speech else 'cosine', *(['said'] if of_speech else [])]
    print_table([heading, *(
        [query.name, rank, moment.video,
         *([' - '.join(map(clock_time, moment.span or ()))] if of_moments else []),
         f'{moment.score:.4f}', *([moment.text or ''] if of_speech else [])]
        for query, moments in zip(queries, found, strict=True)
        for rank, moment in enumerate(moments, 1))])


if __name__ == '__main__':
    main()
