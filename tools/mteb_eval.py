"""Evaluate a checkpoint on tasks and benchmarks of mteb, such as MVEB, that of videos.

    python tools/mteb_eval.py OUT --tasks MSVDT2VRetrieval HMDB51ZeroShot -C TVTSv2_ViT_B_16.pth
    python tools/mteb_eval.py OUT --tasks "MVEB(text, video)" -C ... --num-workers 8

OUT then is a folder as mteb writes it: results/MODEL/REVISION/TASK.json. The same command again
does what is missing. mteb fetches the data sets from the hub.
"""

import argparse
import os

from tvtsv2_mm.apis.launch.arguments import ReadOverrides, add_clip_arguments, add_model_arguments
from tvtsv2_mm.utils.processes import importing
from tvtsv2_mm.utils.tables import print_table


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='folder of the results')
    parser.add_argument('--tasks', nargs='+', required=True, metavar='NAME',
                        help='tasks and benchmarks, by their names in mteb')
    add_model_arguments(parser)
    add_clip_arguments(parser)
    parser.add_argument('--batch-size', type=int, help='clips at once (8; on a CPU 2)')
    parser.add_argument('--num-workers', type=int, default=min(os.cpu_count() or 1, 8),
                        help='processes that load data and decode (%(default)s)')
    parser.add_argument('--meta', nargs='+', action=ReadOverrides, metavar='KEY=VALUE', default={},
                        help="what the file does not tell of the model, as fields of mteb's "
                        'ModelMeta: name=ORGANISATION/MODEL license=mit languages="[\'eng-Latn\']"')
    parser.add_argument('--overwrite', action='store_true', help='do again what is there')
    return parser


def main() -> None:
    """Evaluate."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        with importing():
            from tvtsv2_mm.apis.mteb_encoder import evaluate, find_tasks, load_encoder
        tasks = find_tasks(args.tasks)
        encoder = load_encoder(args.checkpoint, args.config, device=args.device, dtype=args.dtype,
                               clips=args.clips, frames=args.frames, meta=args.meta)
        results = evaluate(encoder, tasks, args.out, batch_size=args.batch_size,
                           num_workers=args.num_workers, overwrite=args.overwrite)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    print_table([['task', 'main score', 'seconds'], *(
        [result.task_name, f'{result.get_score():.4f}', f'{result.evaluation_time:.0f}']
        for result in results)])
    print(f'results of {encoder.mteb_model_meta.name} in {args.out}')


if __name__ == '__main__':
    main()
