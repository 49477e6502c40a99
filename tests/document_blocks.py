"""The fenced blocks of the documents, and the command lines in those of bash."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

MARK = re.compile(r'<!-- not run: (.+) -->')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the word behind the fence.
        text: what stands in it.
        where: document and line.
        reason: why nothing runs it, from the comment ``<!-- not run: ... -->`` before it.
    """

    language: str
    text: str
    where: str
    reason: str | None = None


def read_blocks(path: Path) -> list[Block]:
    """All fenced blocks of a document, in their order.

    Raises:
        ValueError: a block is indented instead, or a mark stands before none.
    """
    blocks, reason = [], None
    for token in MarkdownIt().parse(path.read_text('utf-8')):
        line = token.map[0] + 1 if token.map else 0
        if token.type == 'code_block':
            raise ValueError(f'{path}:{line}: a block is fenced, and says its language')
        if token.type == 'fence':
            blocks.append(Block(token.info, token.content, f'{path.name}:{line}', reason))
        elif reason is not None:
            raise ValueError(f'{path}:{line}: a mark stands right before a block')
        found = MARK.match(token.content) if token.type == 'html_block' else None
        reason = found[1] if found else None
    return blocks


def commands_of(block: Block) -> list[list[str]]:
    """The words of each command of a block of bash, without comments."""
    lines = re.sub(r'\\\n\s*', ' ', block.text).splitlines()
    commands = [shlex.split(part, comments=True) for line in lines for part in line.split(' && ')]
    return [words for words in commands if words]
