"""Renew the blocks of documents that tools make, or only look whether they are up to date.

    python tools/docs/blocks.py [--check]

A block says which tool makes it, and what the tool needs to know:

    <!-- made by tools/benchmarks/tables.py: sizes benchmarks/results/encoder-sizes_....json -->
    ...
    <!-- made -->

That tool has a function ``block(*words) -> str``: what stands between the comments. Nothing else
is to be registered. In YAML the comments are '# made by tools/...py: words' and '# made'.
"""

import argparse
import re
import runpy
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = r'^ *(?:<!--|#) made by (?P<tool>tools/\S+\.py):(?P<words>[^\n]*?)(?: -->)?\n'
BLOCK = re.compile(rf'(?P<start>{START})(?P<text>.*?)(?P<end>^ *(?:<!--|#) made(?: -->)?$)',
                   re.DOTALL | re.MULTILINE)


@cache
def run_tool(tool: str) -> dict:
    """The names of a tool; it finds the files beside it, as if it was called."""
    sys.path.insert(0, str((ROOT / tool).parent))
    return runpy.run_path(str(ROOT / tool))


def renewed(text: str) -> str:
    """A document with its blocks as their tools make them now."""
    def make(found: re.Match) -> str:
        if re.search(START, found['text'], re.MULTILINE):
            raise ValueError(f'no end of the block of {found["tool"]}:{found["words"]}')
        made = run_tool(found['tool'])['block'](*found['words'].split())
        return f'{found["start"]}{made.strip()}\n{found["end"]}'

    return BLOCK.sub(make, text)


def main() -> None:
    """Renew or check all documents."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='change nothing, fail if stale')
    parser.add_argument('documents', nargs='*', type=Path, help='(all .md and .yml files)')
    args = parser.parse_args()
    folders = [ROOT.glob('*'), *((ROOT / name).rglob('*') for name in ('configs', 'docs', 'tools'))]
    everywhere = (path for paths in folders for path in paths if path.suffix in ('.md', '.yml'))
    stale = []
    for path in args.documents or sorted(everywhere):
        text = path.read_text('utf-8')
        if (new := renewed(text)) != text:
            stale.append(str(path))
            if not args.check:
                path.write_text(new, 'utf-8')
    print('\n'.join([f'{len(stale)} {"stale" if args.check else "renewed"}', *stale]))
    if args.check and stale:
        sys.exit('renew them: python tools/docs/blocks.py')


if __name__ == '__main__':
    main()
