"""The options of every tool, as its own parser has them, and what is loaded by then.

    python -m tests.command_line            # write tests/data/command_line.json anew
    python -m tests.command_line --print
"""

import argparse
import json
import multiprocessing
import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / 'tests' / 'data' / 'command_line.json'
HEAVY = {'av', 'cv2', 'datasets', 'decord', 'faster_whisper', 'matplotlib', 'mmaction', 'mmcv',
         'mmengine', 'mmpretrain', 'mteb', 'pandas', 'ray', 'sentence_transformers', 'sklearn',
         'torch', 'torchvision', 'transformers'}


class ParserFound(Exception):
    """Stops a tool where it would read its command line."""


def describe(action: argparse.Action) -> dict:
    """What is not as for any option."""
    kind = type(action).__name__ if type(action).__module__ == 'argparse' else '_StoreAction'
    told = dict(
        action=kind.strip('_').removesuffix('Action'), nargs=action.nargs, const=action.const,
        type=action.type and action.type.__name__, default=action.default,
        metavar=action.metavar, required=action.required and bool(action.option_strings),
        choices=action.choices and list(action.choices))
    if kind == '_StoreTrueAction':
        told |= dict(nargs=None, const=None, default=None)
    if action.option_strings and action.dest not in [
            name.lstrip('-').replace('-', '_') for name in action.option_strings]:
        told |= dict(dest=action.dest)
    return {key: value for key, value in told.items()
            if value is not None and value is not False and (key, value) != ('action', 'Store')}


def options_of(parser: argparse.ArgumentParser, command: str = '') -> dict[str, dict]:
    """Options and arguments of a parser, those of its commands behind the command's name."""
    options = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, other in action.choices.items():
                options |= options_of(other, f'{name} ')
        elif not isinstance(action, argparse._HelpAction):
            options[command + (' '.join(action.option_strings) or action.dest)] = describe(action)
    return options


def read_tool(tool: Path) -> tuple[dict[str, dict], list[str]]:
    """Run a tool, in a process of its own, up to where it reads its command line.

    Returns:
        Its options, and what takes time and was loaded by then.
    """
    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        raise ParserFound(parser)

    argparse.ArgumentParser.parse_known_args = stop
    os.cpu_count = lambda: 4  # a default of some
    # Started as a script, a tool finds what lies beside it.
    sys.argv, sys.path = [str(tool)], [str(tool.parent), *sys.path]
    try:
        runpy.run_path(str(tool), run_name='__main__')
    except ParserFound as found:
        return options_of(found.args[0]), sorted(HEAVY & {*sys.modules})
    raise AssertionError(f'{tool} has not read its command line')


def read_tools() -> tuple[dict[str, dict | str], dict[str, list[str]]]:
    """The options of all tools, and what those have loaded that have loaded too much."""
    tools = [tool for tool in sorted((ROOT / 'tools').rglob('*.py'))
             if '__main__' in tool.read_text('utf-8')]
    with multiprocessing.get_context('fork').Pool(1, maxtasksperchild=1) as pool:
        found = pool.map(read_tool, tools, chunksize=1)
    names = [str(tool.relative_to(ROOT)) for tool in tools]
    options = {name: told for name, (told, _) in zip(names, found, strict=True)}
    loaded = {name: heavy for name, (_, heavy) in zip(names, found, strict=True) if heavy}
    for tool in sorted((ROOT / 'tools').glob('*.sh')):
        if usage := re.search(rf'^#   tools/{tool.name} (.*)$', tool.read_text(), re.MULTILINE):
            options[f'tools/{tool.name}'] = usage[1]
    return options, loaded


def to_text(options: dict[str, dict | str]) -> str:
    """JSON with an option a line."""
    def block(lines: dict, write: Callable[[Any], str], indent: str) -> str:
        entries = [f'{indent}  {json.dumps(name)}: {write(told)}' for name, told in lines.items()]
        return '{\n' + ',\n'.join(entries) + f'\n{indent}}}'

    def line(told: Any) -> str:
        return json.dumps(told, default=str)

    return block(options, lambda told: line(told) if isinstance(told, str)
                 else block(told, line, '  '), '') + '\n'


def main() -> None:
    """Write the list, or print it with what was loaded."""
    options, loaded = read_tools()
    if '--print' in sys.argv:
        print(json.dumps([options, loaded], default=str))
    else:
        LIST.write_text(to_text(options))


if __name__ == '__main__':
    main()
