"""Retrieval on Something-Something v2: the lists that are in use to data/ssv2_retrieval."""

from tvtsv2_mm.preparation.arguments import benchmark_parser


def main() -> None:
    """Read, check and write."""
    parser = benchmark_parser(__doc__, 'ssv2_retrieval')
    parser.add_argument('--template', metavar='JSON', help='ssv2_ret_template_val_small.json')
    parser.add_argument('--label', metavar='JSON', help='ssv2_ret_label_val_small.json')
    parser.add_argument('--temporal', metavar='CSV', help='val-v1.0-2.4k.csv')
    args = parser.parse_args()
    if not (args.template or args.label or args.temporal):
        parser.error('give at least one file: --template, --label or --temporal')
    from tvtsv2_mm.preparation.benchmarks import Split, read_ssv2_retrieval, read_ssv2_temporal
    from tvtsv2_mm.preparation.benchmarks.command_line import run

    def read() -> tuple[list[Split], tuple[()]]:
        splits = [read_ssv2_retrieval(path, name) for name in ('template', 'label')
                  if (path := getattr(args, name))]
        if args.temporal:
            splits.append(read_ssv2_temporal(args.temporal))
        return splits, ()

    run(read, args)


if __name__ == '__main__':
    main()
