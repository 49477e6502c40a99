"""Prompts of zero-shot recognition, by name.

The templates of CLIP are listed in the notebook ``data/prompts.md`` of openai/CLIP (MIT licence);
they are written here as what they are: every kind of picture with every way to say the action.
"""

from collections.abc import Sequence
from pathlib import Path

from tvtsv2_mm.utils.text_files import read_names

_KINDS = ('photo', 'video', 'example', 'demonstration')
_DOING = ('', 'using ', 'doing ', 'during ', 'performing ', 'practicing ')

PROMPTS: dict[str, tuple[str, ...]] = {
    # The TVTSv2 paper's.
    'paper': ('a person {}', ),
    # CLIP's for UCF101 (48) and Kinetics-700 (28); it gives none for HMDB51.
    'clip_ucf101': tuple(
        f'a {kind} of {article} person {doing}{{}}.'
        for doing in _DOING for article in ('a', 'the') for kind in _KINDS),
    'clip_kinetics': tuple(
        f'a {kind} of {who}{{}}.'
        for kind in _KINDS for who in ('', *(f'a person {doing}' for doing in _DOING))),
}


def read_prompts(prompts: Sequence[str] | str) -> list[str]:
    """Templates from a list, from one of the names in ``PROMPTS``, or from a text file.

    Args:
        prompts: templates; or a name; or the path of a text file with one template a line. Each
            template has one ``{}`` for the class name.

    Raises:
        FileNotFoundError: neither such a name nor such a file.
        ValueError: no template, or one without exactly one ``{}``.
    """
    if isinstance(prompts, str):
        if prompts in PROMPTS:
            prompts = PROMPTS[prompts]
        elif Path(prompts).is_file():
            prompts = read_names(prompts)
        else:
            raise FileNotFoundError(
                f'cls_head.prompts: {prompts} is no file (one template a line) and none of the '
                f'names {", ".join(PROMPTS)}')
    if not prompts:
        raise ValueError('cls_head.prompts is empty: give one template or more')
    for prompt in prompts:
        if prompt.count('{}') != 1:
            raise ValueError(f'prompt {prompt!r} must hold exactly one {{}} for the class name')
    return list(prompts)
