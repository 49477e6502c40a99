"""Probe a frozen video encoder: extract the features once, then fit what you like on them."""

import argparse
from pathlib import Path

from tvtsv2_mm.apis.launch.arguments import ReadOverrides, add_frames_argument
from tvtsv2_mm.choices import PROBES
from tvtsv2_mm.utils.processes import importing


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    extract = commands.add_parser('extract', help='make the feature cache')
    extract.add_argument('config', help='one of configs/tvtsv2/*_linear-probe_*.py')
    extract.add_argument('checkpoint', help='checkpoint of any known layout')
    extract.add_argument('--out', required=True, metavar='CACHE.npz', help='the cache')
    extract.add_argument('--val-split', metavar='FILE',
                         help='annotation file of a validation split, from the data root; without '
                         'it a fifth of the training videos serves when a probe is fitted')
    extract.add_argument('--token-grid', type=int, default=1, metavar='G',
                         help='G x G tokens of each frame for the attentive probe: 1 is their mean '
                         '(%(default)s), the side of the patch grid (14 for B/16) all of them')
    add_frames_argument(extract)
    extract.add_argument('--cfg-options', nargs='+', action=ReadOverrides, metavar='KEY=VALUE',
                         help='overrides of the config')
    fit = commands.add_parser('fit', help='fit probes on a feature cache')
    fit.add_argument('cache', help='the cache')
    fit.add_argument('--probes', nargs='+', choices=PROBES,
                     help='default: all that the cache has features for')
    fit.add_argument('--seed', type=int, default=0)
    fit.add_argument('--out-dir', help='folder of the result files; default: beside the cache')
    return parser


def extract(args: argparse.Namespace) -> None:
    """Make the cache."""
    with importing():
        from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model
        from tvtsv2_mm.apis.launch.frames import show_frames
        from tvtsv2_mm.apis.launch.overrides import apply_overrides
        from tvtsv2_mm.apis.launch.runs import check_checkpoint, load_config
        from tvtsv2_mm.evaluation.probes import extract_features, write_cache
    cfg = load_config(args.config)
    apply_overrides(cfg, args.cfg_options or {})
    show_frames(cfg, args.frames)
    cfg.load_from = checkpoint = check_checkpoint(args.checkpoint)
    fit_to_model(cfg)
    if not args.out.endswith('.npz'):
        raise ValueError(f'--out must end in .npz, not {args.out}')
    write_cache(args.out, extract_features(cfg, checkpoint, args.val_split, args.token_grid))
    print(f'\nfeature cache: {args.out}')


def fit(args: argparse.Namespace) -> None:
    """Fit the probes, and write a result file of each."""
    with importing():
        from tvtsv2_mm.evaluation.probes import fit_probe, possible_probes, read_cache
        from tvtsv2_mm.evaluation.results import write_result
    cache = read_cache(args.cache)
    folder = Path(args.out_dir or Path(args.cache).parent)
    for kind in args.probes or possible_probes(cache):
        result = fit_probe(cache, kind, seed=args.seed)
        path = folder / f'{Path(args.cache).stem}_{kind}.json'
        write_result(path, result)
        probe = result['probe']
        figures = ', '.join(f'{name.removeprefix("acc/")} {value:.2f}'
                            for name, value in result['metrics']['raw'].items())
        print(f'{kind}: {figures} ({probe["setting"]} = {probe["chosen"]:g}, chosen on '
              f'{probe["validation"]}); {path}')


def main() -> None:
    """Extract or fit."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        {'extract': extract, 'fit': fit}[args.command](args)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
