"""``--cfg-options KEY=VALUE``: read as the config files are written, and checked before use."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from numbers import Number
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.runner import FlexibleRunner, Runner
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from tvtsv2_mm.apis.launch.fit_to_model import LOADERS, move_data_root
from tvtsv2_mm.checkpoints.model_config import literal_config
from tvtsv2_mm.utils.config_errors import (
    ConfigError,
    Options,
    nearest,
    options_of,
    options_of_loader,
    options_of_part,
    unknown_key,
    walk,
)

# What a run reads from the top of a config, beside the arguments of mmengine's Runners.
_READ = {'benchmark', 'compile', 'data_root', 'find_unused_parameters',
         'held_out_share', 'mask_ratio', 'model_wrapper_cfg', 'new_schedule', 'protocol',
         'runner_type', 'tokenizer'}
_SECTIONS = {
    'env_cfg': {'cudnn_benchmark', 'dist_cfg', 'mp_cfg', 'resource_limit'},
    'randomness': {'seed', 'diff_rank_seed', 'deterministic'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
}
# What loops, wrappers and log processors are where the config does not say it.
_KINDS = {'val_cfg': 'ValLoop', 'test_cfg': 'TestLoop', 'optim_wrapper': 'OptimWrapper',
          'log_processor': 'LogProcessor', 'visualizer': 'Visualizer'}


def read_value(text: str) -> Any:
    """Read the value of an override.

    Raises:
        ValueError: brackets or a ``dict(...)`` that cannot be read.

    Examples:
        >>> read_value("[dict(type='EMAHook', momentum=1e-3)]")
        [{'type': 'EMAHook', 'momentum': 0.001}]
        >>> read_value('1,2'), read_value('true'), read_value('[a b, c]'), read_value('my videos')
        ([1, 2], True, ['a b', 'c'], 'my videos')
    """
    plain = text.strip()
    try:
        value = literal_config(f'value = {plain}')['value']
    except (SyntaxError, ValueError):
        value = plain
        if 'dict(' in plain or plain.startswith('{'):
            raise ValueError(f'{plain} cannot be read: texts in it need quotes') from None
    if not isinstance(value, str):
        bare = isinstance(value, tuple) and not plain.startswith('(')
        return list(value) if bare else value
    if ' ' in value and value[0] not in '[(':
        return value
    try:
        # mmengine's reading, which needs no quotes, but would drop the blanks.
        return _with_blanks(DictAction._parse_iterable(value.replace(' ', '\0')))
    except (AssertionError, RecursionError):
        raise ValueError(f'{plain} cannot be read: its brackets do not match') from None


def _with_blanks(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_with_blanks, value))
    if isinstance(value, str):
        return DictAction._parse_int_float_bool(value.replace('\0', ' ').strip())
    return value


def apply_overrides(cfg: Config, options: Mapping[str, Any]) -> None:
    """Put overrides into a config.

    ``data_root`` moves all paths below the one that the config has.

    Raises:
        ConfigError: a key that nothing would read, or a value of another kind than what is there.
    """
    options = dict(options)
    for key, value in options.items():
        _check(cfg._cfg_dict, key, value)
    if 'data_root' in options:
        move_data_root(cfg, str(options.pop('data_root')))
    cfg.merge_from_dict(options)


def _check(cfg: ConfigDict, key: str, value: Any) -> None:
    names, node = key.split('.'), cfg
    if names[0] == 'custom_imports':
        raise ConfigError(f'{key}: imports are made when a config file is read: write it there')
    for depth, name in enumerate(names):
        path = '.'.join(names[:depth])
        if isinstance(node, Mapping):
            if name not in node:
                _check_new(cfg, node, names, depth)
                return
            node = node[name]
        elif isinstance(node, Sequence) and not isinstance(node, str):
            if not name.isdigit() or int(name) >= len(node):
                raise ConfigError(f'{key}: {path} has {len(node)} entries, 0 to {len(node) - 1}, '
                                  f'and no {name}')
            node = node[int(name)]
        else:
            raise ConfigError(f'{key}: {path} is {node!r}, which has no {name}; give {path} as a '
                              'whole: dict(...)')
    if names[0] not in _top_names():
        _check_used(cfg, key, names[0])
    _check_kind(key, node, value)


def _check_new(cfg: ConfigDict, node: Mapping, names: Sequence[str], depth: int) -> None:
    """Refuse a name that the config does not have, where it is known that nothing reads it."""
    path, name = '.'.join(names[:depth]), names[depth]
    if not path:
        known = Options(_top_names())
    elif path in _SECTIONS:
        known = Options(_SECTIONS[path])
    elif path in LOADERS:
        known = options_of_loader()
    elif path == 'optim_wrapper.clip_grad':
        known = Options({'type'}.union(*map(options_of, (clip_grad_norm_, clip_grad_value_))))
    elif path == 'train_cfg' and 'type' not in node:
        known = Options({'by_epoch'}.union(*map(
            options_of_part, ('EpochBasedTrainLoop', 'IterBasedTrainLoop'))))
    else:
        known = options_of_part(node.get('type', _KINDS.get(path)))
    if depth + 1 < len(names):
        if name in known:
            _check_new(cfg, {}, names, depth + 1)
        elif names[-1] != 'type':
            known |= set(node)  # a new part without a type is one that is there, misspelt
    if name in known or (not known.closed and not get_close_matches(name, known, cutoff=0.85)):
        return
    if path:
        raise ConfigError(unknown_key(path, name, node.get('type'), known))
    deeper = [place for place, _ in walk(cfg) if place.rpartition('.')[2] == name]
    raise ConfigError(
        f'{name}: nothing reads this of a config' + nearest(name, {*known, *cfg})
        + (f'; there is {" and ".join(deeper[:3])}' if deeper else ''))


def _check_used(cfg: ConfigDict, key: str, name: str) -> None:
    """Refuse a name of the file's own, whose value others have taken over already."""
    value = cfg[name]
    places = [path for path, other in walk(cfg) if path.partition('.')[0] != name and (
        (path.rpartition('.')[2] == name and other == value) or _holds(other, value))]
    if places:
        raise ConfigError(f'{key}: {name} is only a name in the config file, whose value has gone '
                          f'into {" and ".join(places[:4])}: override that')


def _holds(other: Any, value: Any) -> bool:
    """Whether a part of the config was made from another one, by taking all that is in it."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) > 0 and all(own in other for own in value)
    return (isinstance(value, Mapping) and isinstance(other, Mapping) and len(value) > 0
            and all(key in other and (other[key] == own or _holds(other[key], own))
                    for key, own in value.items()))


def _check_kind(key: str, old: Any, new: Any) -> None:
    if isinstance(old, bool) and not isinstance(new, bool | Mapping | None):
        raise ConfigError(f'{key}: True or False is needed, not {new!r}')
    if isinstance(old, Number) and isinstance(new, str) and new not in ('auto', 'dynamic'):
        raise ConfigError(f'{key}: a number is needed, such as {old}, not {new!r}')
    if isinstance(old, Mapping) and isinstance(new, str | Number):
        raise ConfigError(f'{key}: this is a section ({", ".join(map(str, old))}), and cannot be '
                          f'{new!r}; name one of its keys')
    if isinstance(old, list | tuple) and (isinstance(new, Mapping) or (
            isinstance(new, str) and any(isinstance(entry, Mapping) for entry in old))):
        raise ConfigError(f'{key}: this is a list; give one, or name an entry: {key}.0=...')


def _top_names() -> set[str]:
    return (options_of(Runner) | options_of(FlexibleRunner) | _READ) - {'cfg'}
