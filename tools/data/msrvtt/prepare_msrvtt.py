"""MSR-VTT 1k-A: the official annotation files to data/msrvtt/annotations."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'msrvtt')
    parser.add_argument('annotation', help='csv with the columns video_id and sentence')
    parser.add_argument('--train', nargs='+', default=(), metavar='JSON',
                        help='train_val_videodatainfo.json (and test_videodatainfo.json), or '
                             'MSRVTT_data.json: training captions, for QB-Norm')
    parser.add_argument('--train-list', metavar='CSV',
                        help='MSRVTT_train.9k.csv: which videos are for training (default: the '
                             'split "train" of --train)')
    args = parser.parse_args()
    from tvtsv2_mm.preparation.benchmarks import read_msrvtt
    from tvtsv2_mm.preparation.benchmarks.command_line import run
    run(lambda: (read_msrvtt(
        args.annotation, train=args.train, train_list=args.train_list), ()), args)


if __name__ == '__main__':
    main()
