"""Classes and prompts of zero-shot recognition; prompts by name, too.

The templates of CLIP are listed in the notebook ``data/prompts.md`` of openai/CLIP (MIT licence);
they are written here as what they are: every kind of picture with every way to say the action.
"""

from collections.abc import Sequence
from pathlib import Path

from tvtsv2_mm.utils.text_files import read_names, read_text

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
    place = 'cls_head.prompts'
    if isinstance(prompts, str):
        if prompts in PROMPTS:
            prompts = PROMPTS[prompts]
        elif Path(prompts).is_file():
            place += f', {prompts}'
            prompts = read_names(prompts)
        else:
            raise FileNotFoundError(
                f'cls_head.prompts: {prompts} is no file (one template a line) and none of the '
                f'names {", ".join(PROMPTS)}')
    if not prompts:
        raise ValueError(f'{place} is empty: give one template or more')
    for prompt in prompts:
        if not isinstance(prompt, str) or prompt.count('{}') != 1:
            raise ValueError(f'{place}: {prompt!r:.80} must hold exactly one {{}} for the '
                             'class name')
    return list(prompts)


def read_classes(classes: Sequence[str] | str) -> list[str]:
    """Class names in the order of the labels, from a list or a text file with one name a line.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no class, an empty name or line (is it a class?), or one that comes twice.
    """
    names, place, source = list(classes), 'class ', 'cls_head.classes'
    if isinstance(classes, str):
        if not Path(classes).is_file():
            raise FileNotFoundError(f'cls_head.classes: no file {classes} (one class name a line)')
        names = [line.strip() for line in read_text(classes).split('\n')]
        place, source = f'{classes}, line ', f'{source}, {classes}'
        while names and not names[-1]:
            names.pop()
    if not names:
        raise ValueError(f'{source} is empty: give the class names in label order')
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1 if isinstance(classes, str) else 0):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f'cls_head.classes, {place}{number}: the name of a class is '
                             f'needed, not {name!r}: the labels are counted by them')
        if first.setdefault(name, number) != number:
            raise ValueError(f'cls_head.classes, {place}{number}: {name!r} is '
                             f'{place}{first[name]} already; names tell classes apart')
    return names
