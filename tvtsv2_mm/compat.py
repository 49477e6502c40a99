"""The few mends that the pinned OpenMMLab releases need with today's torch and transformers.

Each mend is one function of a module: it says what is broken, and returns whether it was applied.
None touches a package that does not have the fault, and none swallows an error that it does not
know. ``apply()`` sees to them all, once or many times, and imports nothing: a mend runs as soon as
the module that it is about has been imported, by whomever, or could not be. ``active()`` tells what
was done. When the packages are mended, delete the function.
"""

import importlib
import inspect
import math
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from functools import partial, partialmethod, wraps
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlparse

if TYPE_CHECKING:
    import torch

# A torch.library.Library forgets what it declared when it is collected.
_torchvision_library: 'torch.library.Library | None' = None
_applied: set[str] = set()


def apply() -> dict[str, bool]:
    """Run every mend whose module is there; the others run at the end of its import.

    Returns:
        dict[str, bool]: for each mend by its name, whether it changed something this time.
    """
    # First, so that what another thread imports meanwhile is not missed.
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    # Imported again, so that one that another thread is still importing is waited for.
    return {mend.__name__: name in sys.modules and _note(mend, mend(importlib.import_module(name)))
            for name, mend in _MENDS.items()}


def active() -> dict[str, bool | None]:
    """Tell for each mend by its name whether it has changed something in this process.

    None where that is open: what it is about was not imported yet, or not since this module was.
    """
    return {mend.__name__: mend.__name__ in _applied or (False if name in sys.modules else None)
            for name, mend in (*_MENDS.items(), *_RESCUES.items())}


def _note(mend: Callable[..., bool], applied: bool) -> bool:
    if applied:
        _applied.add(mend.__name__)
    return applied


def leave_out_pkg_resources_warnings(utils: Any) -> bool:
    """Do not show, at each of mmengine's imports of it, that pkg_resources will go one day.

    requirements/runtime.txt keeps the setuptools that has it; a user can do nothing about it.

    Not applied: a mmengine that asks something else; it was before.
    """
    if ('leave_out_pkg_resources_warnings' in _applied
            or 'pkg_resources' not in utils.is_installed.__code__.co_names):
        return False
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated as an API')
    return True


def declare_torchvision_ops(_: types.ModuleType) -> bool:
    """Let a CUDA build of torchvision be imported beside a CPU build of torch.

    Its compiled operators cannot be loaded there, and the import stops at the first one that it
    describes ("operator torchvision::nms does not exist"). With the schemas declared it goes on;
    calling the operators still fails, as it must.

    Not applied: a CUDA build of torch (there the same error means a damaged installation);
    operators that were loaded, or declared before.
    """
    global _torchvision_library
    import torch
    if torch.version.cuda is not None or hasattr(torch.ops.torchvision, 'nms'):
        return False
    _torchvision_library = torch.library.Library('torchvision', 'FRAGMENT')
    for name in ('nms', 'qnms'):
        _torchvision_library.define(
            f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    return True


def stand_in_for_drn(mmaction: types.ModuleType) -> bool:
    """Stand in for ``mmaction/models/localizers/drn``, which the wheel of mmaction2 1.2.0 lacks.

    ``mmaction.models`` imports it and fails without it. A config that names DRN gets the
    registry's own error.

    Not applied: a mmaction2 that has the file; a module that is already loaded.
    """
    name = 'mmaction.models.localizers.drn.drn'
    file = Path(str(mmaction.__file__)).parent / 'models/localizers/drn/drn.py'
    if name in sys.modules or file.exists():
        return False
    module = types.ModuleType(name, stand_in_for_drn.__doc__)
    vars(module)['DRN'] = None
    sys.modules[name] = module
    return True


def accept_newer_mmcv(error: Exception, module: types.ModuleType, loader: Loader) -> bool:
    """Import a mmaction2 that refuses the mmcv that is there: nothing that is used here needs less.

    1.2.0 asserts mmcv < 2.2, which leaves out mmcv 2.2.0 and onedl-mmcv. It has no other assertion
    there but one of the same kind on mmengine.

    Not applied: a mmaction2 that accepts it; another error.
    """
    if not (isinstance(error, AssertionError) and str(error).startswith('MMCV==')):
        return False
    source = cast(InspectLoader, loader).get_source(module.__name__) or ''
    exec(compile(source, str(module.__file__), 'exec', dont_inherit=True, optimize=1),
         vars(module))
    return True


def leave_out_vindlu(error: Exception, module: types.ModuleType, loader: Loader) -> bool:
    """Import mmaction2 without the VindLU models' text encoder, and what comes behind it.

    It imports names that transformers lost (4.48 and later, 5), and timm, which mmaction2 does not
    ask for; ``mmaction.models`` fails with it. A config that names VindLU gets the registry's own
    error.

    Not applied: VindLU models that can be imported; another error.
    """
    return (isinstance(error, ImportError)
            and (error.name or '').partition('.')[0] in ('transformers', 'timm'))


def tell_accuracy_in_bfloat16(base: types.ModuleType) -> bool:
    """Let MMAction2's heads be trained in bfloat16 (``--amp``).

    For the accuracy in the log they hand their scores to numpy, which has no such type.

    Not applied: heads that convert the scores, or were mended before.
    """
    head: Any = base.BaseHead
    plain = head.loss_by_feat
    if 'numpy' not in plain.__code__.co_names or 'float' in plain.__code__.co_names:
        return False

    def loss_by_feat(self: Any, cls_scores: 'torch.Tensor', *args: Any, **kwargs: Any) -> dict:
        scores = cls_scores.float() if cls_scores.element_size() == 2 else cls_scores
        return plain(self, scores, *args, **kwargs)

    head.loss_by_feat = loss_by_feat
    return True


def name_package_to_mmengine(utils: types.ModuleType) -> bool:
    """Let ``_base_ = 'tvtsv2_mm::...'`` work: mmengine knows only its own list of packages.

    Not applied: a mmengine that has no such list or has this package on it.
    """
    packages = getattr(utils, 'MODULE2PACKAGE', None)
    if packages is None or 'tvtsv2_mm' in packages:
        return False
    packages['tvtsv2_mm'] = 'tvtsv2_mm'
    return True


def handle_checkpoints_safely(checkpoint: Any) -> bool:
    """Let mmengine load checkpoints by our own reader, and write them whole or not at all.

    Beside tensors its own hold log buffers and numpy values, which torch refuses since 2.6 unless
    they are allowed by name (onedl-mmengine then loads them, and whatever else, as any pickle);
    files from the net are loaded as any pickle. A kill or a full disk while it writes leaves half a
    file under the checkpoint's name, and what another process has mapped of one is overwritten.

    Not applied: a loader that somebody else has put in place.
    """
    if checkpoint.CheckpointLoader._schemes.get('') is not checkpoint.load_from_local:
        return False
    register = checkpoint.CheckpointLoader.register_scheme
    register('', loader=load_from_local, force=True)
    register([r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], loader=load_from_store, force=True)
    # Its own loader reads what it fetched as any other file, and the package is not to be had.
    checkpoint.CheckpointLoader._schemes.pop('pavi://', None)
    checkpoint.load_url = load_url
    if hasattr(checkpoint, '_safe_torch_load'):  # onedl-mmengine's, which is not
        checkpoint._safe_torch_load = load_from_local
    save = partial(_save_checkpoint, checkpoint.save_checkpoint)
    # Modules that were there before this one have the function by its name.
    for name in ('mmengine.runner.checkpoint', 'mmengine.runner.runner', 'mmengine.runner'):
        if hasattr(sys.modules.get(name), 'save_checkpoint'):
            vars(sys.modules[name])['save_checkpoint'] = save
    return True


def start_gloo_without_gpu(utils: Any) -> bool:
    """Let ``launcher='pytorch'`` with ``backend='gloo'`` start on a machine without a GPU.

    mmengine selects a CUDA device first, whatever the backend, and fails.

    Not applied: where mmengine finds an accelerator. The mend itself steps aside for other
    backends.
    """
    from mmengine.device import get_device
    original = utils._init_dist_pytorch
    if get_device() != 'cpu' or getattr(original, 'func', None) is _init_dist_pytorch:
        return False
    utils._init_dist_pytorch = partial(_init_dist_pytorch, original)
    return True


def count_attention(analysis: types.ModuleType) -> bool:
    """Let mmengine's FLOP counter (mmaction2's get_flops.py) count the products of attention.

    It leaves out what it does not know, with a warning, and knows no scaled_dot_product_attention.

    Not applied: a mmengine that counts it.
    """
    counted, name = analysis._DEFAULT_SUPPORTED_FLOP_OPS, 'aten::scaled_dot_product_attention'
    if name in counted:
        return False
    counted[name] = _multiplications_of_attention
    return True


def draw_clips(hooks: types.ModuleType) -> bool:
    """Let mmaction2's VisualizationHook draw the clips of a Recognizer3D: of each the first view.

    It takes them for (C, T, H, W), and they are (views, C, T, H, W); and it asks the visualizer to
    ``show``, who knows ``show_frames``. Either ends the test that it is a hook of.

    Not applied: a hook that draws them.
    """
    import torch
    visualizer: Any = importlib.import_module('mmaction.visualization').ActionVisualizer
    original = hooks.VisualizationHook._draw_samples
    takes = inspect.signature(visualizer.add_datasample).bind
    tried = types.SimpleNamespace(
        enable=True, interval=1, out_dir=None, draw_args=dict(show=False),
        _visualizer=types.SimpleNamespace(add_datasample=partial(takes, None)))
    try:
        original(tried, 0, dict(inputs=[torch.zeros(1, 3, 1, 1, 1)]), [{}])
    except (RuntimeError, TypeError):
        hooks.VisualizationHook._draw_samples = partialmethod(_draw_first_views, original)
        return True
    return False


def _init_dist_pytorch(original: Callable[..., None], backend: str, **kwargs: Any) -> None:
    import torch
    if backend != 'gloo':
        original(backend, **kwargs)
        return
    kwargs.pop('init_backend', None)  # who else may start the group, such as deepspeed; not here
    torch.distributed.init_process_group(backend=backend, **kwargs)


def _multiplications_of_attention(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Of queries by keys, and of weights by values; mmengine counts one with its addition as 1."""
    query, key, value = (x.type().sizes() for x in inputs[:3])
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _draw_first_views(hook: Any, original: Callable[..., None], batch_idx: int, data_batch: dict,
                      *args: Any, **kwargs: Any) -> None:
    if 'show' in hook.draw_args:
        hook.draw_args['show_frames'] = hook.draw_args.pop('show')
    videos = [video[0] if video.ndim == 5 else video for video in data_batch['inputs']]
    original(hook, batch_idx, dict(data_batch, inputs=videos), *args, **kwargs)


def let_flexible_runner_do_as_runner(module: Any) -> bool:
    """Let hooks begin before a FlexibleRunner loads, and say where a checkpoint is from.

    It calls ``before_run`` after it has loaded: EMAHook, which makes its copy there, fails with
    load_from, and would lose what it resumed. And it counts epoch and iteration anew where
    CheckpointHook tells them: what is saved again after a validation (save_best) is one further
    than it was trained, so that a resumed run leaves an epoch out.

    Not applied: a mmengine in which the two do the same.
    """
    kind = module.FlexibleRunner
    if hasattr(kind.call_hook, '__wrapped__'):
        return False
    val, save = inspect.getsource(kind.val), inspect.getsource(kind.save_checkpoint)
    loads_first = val.find('load_or_resume(') < val.find("'before_run'")
    counts_anew = 'meta.update(epoch=' in save
    call_hook, load_or_resume, save_checkpoint = (
        kind.call_hook, kind.load_or_resume, kind.save_checkpoint)

    @wraps(load_or_resume)
    def begin_and_load(self: Any) -> None:
        self.call_hook('before_run')
        self._has_begun = True
        load_or_resume(self)

    @wraps(save_checkpoint)
    def save_where_told(self: Any, *args: Any, meta: dict | None = None, **kwargs: Any) -> None:
        self._told = dict(meta or {})
        save_checkpoint(self, *args, meta=dict(meta or {}), **kwargs)  # which it writes into

    @wraps(call_hook)
    def call(self: Any, fn_name: str, **kwargs: Any) -> None:
        if fn_name == 'before_save_checkpoint':
            kwargs['checkpoint']['meta'].update(vars(self).pop('_told', {}))
        if fn_name != 'before_run' or not vars(self).pop('_has_begun', False):
            call_hook(self, fn_name, **kwargs)

    if loads_first or counts_anew:
        kind.call_hook = call
    if loads_first:
        kind.load_or_resume = begin_and_load
    if counts_anew:
        kind.save_checkpoint = save_where_told
    return loads_first or counts_anew


def let_xclip_return_names(modeling: Any) -> bool:
    """Let X-CLIP's get_video_features have what its transformer over frames returns by name.

    That of transformers 4.57 returns a tuple unless it is told otherwise, and is not told there.
    """
    kind = modeling.XCLIPMultiframeIntegrationTransformer
    told = inspect.signature(kind.forward).parameters.get('return_dict')
    if told is None or told.default is not None:
        return False
    kind.forward = partialmethod(kind.forward, return_dict=True)
    return True


def pool_texts_of_chinese_clip(modeling: Any) -> bool:
    """Let ChineseCLIP's get_text_features have the first token of a text, as its forward has.

    That of transformers 4.57 asks for a pooled one, which its text model does not make.
    """
    kind = modeling.ChineseCLIPModel
    if 'last_hidden_state' in inspect.unwrap(kind.get_text_features).__code__.co_names or (
            'pool_texts_of_chinese_clip' in _applied):
        return False
    make = kind.__init__

    class FirstToken(modeling.nn.Module):
        def forward(self, hidden: Any) -> Any:
            return hidden[:, 0]

    @wraps(make)
    def make_and_pool(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if self.text_model.pooler is None:
            self.text_model.pooler = FirstToken()

    kind.__init__ = make_and_pool
    return True


def _save_checkpoint(original: Callable[..., None], checkpoint: Any, filename: str | Path,
                     file_client_args: dict | None = None, backend_args: dict | None = None
                     ) -> None:
    from tvtsv2_mm.checkpoints.whole import save_whole
    if file_client_args or backend_args or '://' in str(filename):  # a store, with its own rules
        original(checkpoint, filename, file_client_args, backend_args)
    else:
        save_whole(checkpoint, Path(filename))


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a file safely; mmengine logs the end of the name: "by local backend"."""
    from tvtsv2_mm.checkpoints.files import load_from_disk
    return load_from_disk(filename, map_location)


def load_from_store(filename: str, map_location: Any = None) -> Any:
    """Load a file of an object store as one from the disk."""
    from mmengine.fileio import get_local_path
    with get_local_path(filename, backend_args=dict(backend='petrel')) as file:
        return load_from_local(str(file), map_location)


def load_url(url: str, model_dir: str | None = None, map_location: Any = None,
             progress: bool = True) -> Any:
    """Download a file, unless it was before, and load it as one from the disk."""
    import torch
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    file = folder / Path(urlparse(url).path).name
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(file), progress=progress)
        except OSError as error:
            raise OSError(f'{url} cannot be downloaded: {error}') from error
    return load_from_local(str(file), map_location)


class _Finder(MetaPathFinder):
    """Leaves the finding to the other finders, and sees to it that what they find is mended."""

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: types.ModuleType | None = None) -> ModuleSpec | None:
        """Find a module that has a mend."""
        if fullname not in _MENDS and fullname not in _RESCUES:
            return None
        # Those behind this one: of two of this kind (after a reload) one asks the other.
        for finder in sys.meta_path[sys.meta_path.index(self) + 1:]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _MendingLoader(spec.loader)
                return spec
        return None


class _MendingLoader(Loader):
    """Another loader, and the mends around it; the module gets the other one for its own."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        """Create the module as the other loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        """Import the module, and mend it; where that fails the import fails."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        try:
            self._loader.exec_module(module)
        except Exception as error:
            rescue = _RESCUES.get(module.__name__)
            if rescue is None or not _note(rescue, rescue(error, module, self._loader)):
                raise
        mend = _MENDS.get(module.__name__)
        if mend is not None:
            _note(mend, mend(module))


_finder = _Finder()
# Each mend, by the module after whose import it runs ...
_MENDS: dict[str, Callable[[types.ModuleType], bool]] = {
    'torchvision.extension': declare_torchvision_ops,
    'mmaction': stand_in_for_drn,
    'mmaction.models.heads.base': tell_accuracy_in_bfloat16,
    'mmengine.utils.package_utils': leave_out_pkg_resources_warnings,
    'mmengine.config.utils': name_package_to_mmengine,
    'mmengine.runner.checkpoint': handle_checkpoints_safely,
    'mmengine.dist.utils': start_gloo_without_gpu,
    'mmengine.analysis.complexity_analysis': count_attention,
    'mmaction.engine.hooks.visualization_hook': draw_clips,
    'mmengine.runner._flexible_runner': let_flexible_runner_do_as_runner,
    'transformers.models.chinese_clip.modeling_chinese_clip': pool_texts_of_chinese_clip,
    'transformers.models.x_clip.modeling_x_clip': let_xclip_return_names,
}
# ... or whose import it saves when that has failed.
_RESCUES: dict[str, Callable[[Exception, types.ModuleType, Loader], bool]] = {
    'mmaction': accept_newer_mmcv,
    'mmaction.models.multimodal': leave_out_vindlu,
}
