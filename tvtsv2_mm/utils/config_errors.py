"""Says which key of a config is wrong, and which was meant, where building a part of it fails."""

import inspect
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from dis import opname
from types import FrameType, TracebackType
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry, build_from_cfg
from mmengine.runner import FlexibleRunner, Runner
from torch.utils.data import DataLoader

from tvtsv2_mm import registry as registries
from tvtsv2_mm.utils.errors import RunStoppedError, UserFileError

# Names that mmengine takes out of a config before it builds the part.
_TAKEN_OUT = {'type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg',
              'convert_to_iter_based'}
_LOADER = {'dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn',
           'num_batch_per_epoch'}
# What mmengine's Runner makes of which part of a config, beside building it.
_SECTIONS = {
    'register_custom_hooks': 'custom_hooks', 'register_default_hooks': 'default_hooks',
    'build_logger': 'log_level', 'build_evaluator': 'val_evaluator or test_evaluator',
    'build_train_loop': 'train_cfg', 'build_val_loop': 'val_cfg', 'build_test_loop': 'test_cfg',
    'build_dataloader': 'a data loader', 'build_optim_wrapper': 'optim_wrapper',
    'build_param_scheduler': 'param_scheduler', 'build_visualizer': 'visualizer',
    'build_log_processor': 'log_processor', 'setup_env': 'env_cfg',
    'set_randomness': 'randomness', 'scale_lr': 'auto_scale_lr',
    'wrap_model': 'model_wrapper_cfg',
}
# What reads its part of a config only in a training step.
_STEPS = {'_clip_grad': 'optim_wrapper.clip_grad'}


class ConfigError(ValueError):
    """A config does not fit; the message names the key and, where it can, the right one."""


@contextmanager
def config_errors() -> Generator[None]:
    """Turn what goes wrong while parts of a config are built into a :class:`ConfigError`.

    So do the errors that this package raises on purpose, whenever it does. Those that name a file
    of the user stay as they are, and so does what goes wrong elsewhere.
    """
    try:
        yield
    except (UserFileError, ConfigError, RunStoppedError, OSError):
        raise
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        raise ConfigError(' '.join(message.split())) from error


def explain(error: Exception) -> str | None:
    """Say in one line which key of a config made an error; None of errors outside of building."""
    frames = [traceback.tb_frame for traceback in _tracebacks(error)]
    built = [frame.f_locals for frame in frames if frame.f_code is build_from_cfg.__code__]
    loaders = [frame for frame in frames if frame.f_code.co_name == 'build_dataloader']
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    root = _root(frames)
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", text)
    if loaders and unexpected and 'DataLoader' in text:
        given = loaders[-1].f_locals['dataloader']
        return unknown_key(_path(root, given, 'dataloader'), unexpected[1], 'a data loader',
                           options_of_loader())
    if not built:
        # The function that fails, or that is called with a wrong argument, the inner ones first.
        names = [*re.findall(r'(\w+)\(\) got', text),
                 *(frame.f_code.co_name for frame in reversed(frames))]
        # Another error of a step is not one of its values.
        sections = _SECTIONS | (_STEPS if isinstance(error, TypeError | ValueError) else {})
        section = next((sections[name] for name in names if name in sections), None)
        if section:
            return f'{section}: {type(error).__name__}: {text}'
        if frames[-1].f_code in [kind.__init__.__code__ for kind in (Runner, FlexibleRunner)]:
            return text.partition(', but got')[0]
        return text if _on_purpose(error) else _told_by_worker(text)
    part, kind, cls = (built[-1].get(name) for name in ('cfg', 'obj_type', 'obj_cls'))
    if not isinstance(part, Mapping):
        return (f'{_path(root, part, "a part of the config")}: a dict with a type is needed here, '
                f'not {part!r}')
    path = _path(root, part, str(part.get('type')))
    if cls is None:
        if kind is None:
            return f'{path}: a "type" is needed here, which names the class: {dict(part)}'
        known = names_in(built[-1]['registry'])
        place = next((place for place, value in walk(root) if value == kind), f'{path}.type')
        return f'{place}: there is no {kind}{nearest(str(kind), known)}'
    name = getattr(cls, '__name__', str(cls))
    if unexpected and unexpected[1] in part:
        return unknown_key(path, unexpected[1], name, options_of(cls))
    missing = re.search(r'__init__\(\) missing .*?: (.*)', text)
    if missing:
        return f'{path}: {name} needs {missing[1]}'
    return f'{path} ({name}): {text or type(error).__name__}'


def unknown_key(path: str, key: str, owner: Any, known: Iterable[str]) -> str:
    """The message about a key that a part of a config, of the type ``owner``, does not have."""
    known = sorted(set(known) - _TAKEN_OUT)
    rest = nearest(key, known) or (f'; it has {", ".join(known)}' if known else '')
    return f'{path}.{key}: {getattr(owner, "__name__", owner) or path} has no {key}{rest}'


def nearest(name: str, known: Iterable[str]) -> str:
    """Up to three names like one that is wrong, as the end of a message."""
    close = get_close_matches(name, list(known), n=3)
    return f'; did you mean {" or ".join(close)}?' if close else ''


class Options(set):
    """Names of options; ``closed`` where there may be no others."""

    closed = True


def options_of(cls: Any) -> Options:
    """The arguments of a class or function, with those of the classes it hands others on to."""
    calls = [cls]
    if inspect.isclass(cls):
        calls = [base.__dict__['__init__'] for base in inspect.getmro(cls)
                 if '__init__' in base.__dict__ and base is not object]
    found = Options()
    for call in calls:
        parameters = inspect.signature(call).parameters.values()
        found |= {each.name for each in parameters
                  if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)} - {'self'}
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            return found
    found.closed = not calls
    return found


def check_options(given: Any, call: Callable, place: str) -> None:
    """Look whether a dict of a config has the options of the function that it is given to.

    Args:
        given: the value in the config.
        call: the function; what it needs beside its options stands before them.
        place: the option's name in the config.

    Raises:
        ValueError: it is no dict, has an option that there is not, or lacks one.
    """
    options = [each for each in inspect.signature(call).parameters.values()
               if each.kind is each.KEYWORD_ONLY]
    names = {each.name for each in options}
    needed = [each.name for each in options if each.default is each.empty]
    if not isinstance(given, Mapping):
        raise ValueError(f'{place}: a dict is needed here, with {", ".join(needed or names)}, not '
                         f'{given!r}')
    for key in given:
        if key not in names:
            raise ValueError(unknown_key(place, key, place, names))
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise ValueError(f'{place} needs {" and ".join(lacking)}: {place}.{lacking[0]}=...')


def options_of_part(kind: Any) -> Options:
    """The keys that a dict of a config of this type may have."""
    cls = find_class(kind)
    options = Options() if cls is None else options_of(cls)
    options.closed = options.closed and cls is not None
    options |= _TAKEN_OUT
    return options


def options_of_loader() -> Options:
    """The keys that a data loader of a config may have."""
    options = options_of(DataLoader)
    options |= _LOADER
    return options


def find_class(kind: Any) -> Any:
    """The class that the ``type`` of a config names in one of our registries, or None."""
    if not isinstance(kind, str):
        return kind
    for registry in vars(registries).values():
        if not isinstance(registry, Registry):
            continue
        try:
            found = registry.get(kind)
        except (RuntimeError, ImportError):
            continue
        if found is not None:
            return found
    return None


def names_in(registry: Registry | None) -> set[str]:
    """What may be named in a registry, those it inherits from included."""
    names: set[str] = set()
    while registry is not None:
        names |= set(registry.module_dict)
        registry = registry.parent
    return names


def _tracebacks(error: BaseException) -> Iterator[TracebackType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _on_purpose(error: BaseException) -> bool:
    """Whether a statement ``raise`` of this package made an error."""
    *_, last = _tracebacks(error)
    return (last.tb_frame.f_globals.get('__name__', '').startswith('tvtsv2_mm.')
            and opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == 'RAISE_VARARGS')


def _told_by_worker(text: str) -> str | None:
    """The message of what this package raised on purpose in a data loader's process.

    torch hands it on as a text, with a traceback.
    """
    if 'in DataLoader worker process' not in text:
        return None
    place = text.rpartition('\n  File "')[2]
    raised = re.match(r'[^"\n]*/tvtsv2_mm/[^"\n]*", line .*\n +raise .*\n(?: +[~^]+\n)?[\w.]+: ',
                      place)
    return raised and place[raised.end():]


def _root(frames: Iterable[FrameType]) -> Mapping | Config:
    """The whole config that was being built, or as much as is known of it."""
    first: Any = {}
    for frame in frames:
        for value in (frame.f_locals.get('cfg'), getattr(frame.f_locals.get('self'), 'cfg', None)):
            if isinstance(value, Config):
                return value._cfg_dict
            if isinstance(value, Mapping) and not first:
                first = value
    return first


def _path(root: Any, part: Any, otherwise: str) -> str:
    """Where a part stands in a config: the names to it, with dots.

    mmengine takes keys out of some parts before it builds them: those are told by their type.
    """
    places = list(walk(root))
    kind = part.get('type') if isinstance(part, Mapping) else None
    whole = (path for path, value in places
             if value is part or (type(value) is type(part) and value == part))
    same_kind = (path for path, value in places
                 if kind and isinstance(value, Mapping) and value.get('type') == kind)
    return next(whole, None) or next(same_kind, otherwise)


def walk(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Every value in a config with its dotted path, the outer ones first."""
    pairs = (node.items() if isinstance(node, Mapping) else
             enumerate(node) if isinstance(node, list | tuple) else ())
    for key, value in pairs:
        place = f'{path}.{key}' if path else str(key)
        yield place, value
        yield from walk(value, place)
