import builtins
import json
import os
import pickle
import re
import subprocess
import sys
import types
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from tvtsv2_mm import compat


class Malicious:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


# What fails where a mend is needed and left out, and goes where all are there.
FAULTS = {
    'declare_torchvision_ops': 'import torchvision',
    'stand_in_for_drn': 'import mmaction.models',
    'leave_out_pkg_resources_warnings': """
import mmengine.utils
mmengine.utils.is_installed('mmengine')
""",
    'tell_accuracy_in_bfloat16': """
import torch
from mmaction.models.heads import TimeSformerHead
from mmaction.structures import ActionDataSample
scores = torch.tensor([[0., 1.]], dtype=torch.bfloat16)
losses = TimeSformerHead(num_classes=2, in_channels=1, topk=(1, )).loss_by_feat(
    scores, [ActionDataSample().set_gt_label(1)])
assert losses['top1_acc'] == 1
""",
    'name_package_to_mmengine': """
from mmengine.config.utils import MODULE2PACKAGE
MODULE2PACKAGE['tvtsv2_mm']
""",
    'handle_checkpoints_safely': """
import pickle, tempfile, torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
class Malicious:
    def __reduce__(self):
        return print, ()
with tempfile.NamedTemporaryFile() as file:
    torch.save(dict(state_dict={}, message_hub=HistoryBuffer([1.0], [1])), file.name)
    CheckpointLoader.load_checkpoint(file.name, 'cpu', 'silent')
    torch.save(dict(state_dict=Malicious()), file.name)
    try:
        CheckpointLoader.load_checkpoint(file.name, 'cpu', 'silent')
    except pickle.UnpicklingError:
        pass
    else:
        raise AssertionError
    from mmengine.runner import save_checkpoint
    with open(file.name, 'rb') as reader:
        before = os.fstat(reader.fileno()).st_ino
        save_checkpoint({}, file.name)
        assert os.stat(file.name).st_ino != before
""",
    'let_flexible_runner_do_as_runner': """
import tempfile, torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner
class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
    def forward(self, x, mode='tensor'):
        return dict(loss=self.linear(x[0]).sum()) if mode == 'loss' else [x]
class Metric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(1)
    def compute_metrics(self, results):
        return dict(acc=1)
data = dict(dataset=[dict(x=torch.ones(1))], sampler=dict(type='DefaultSampler'), batch_size=1)
with tempfile.TemporaryDirectory() as folder:
    torch.save(Model().state_dict(), folder + '/x.pth')
    FlexibleRunner(
        Model(), work_dir=folder, train_dataloader=data, val_dataloader=data,
        train_cfg=dict(by_epoch=True, max_epochs=1), val_cfg=dict(),
        val_evaluator=Evaluator(Metric()),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)), load_from=folder + '/x.pth',
        custom_hooks=[dict(type='EMAHook')],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', save_best='acc')),
    ).train()
    saved = torch.load(folder + '/epoch_1.pth', weights_only=False)
assert (saved['meta']['epoch'], saved['meta']['iter']) == (1, 1), saved['meta']
""",
    'start_gloo_without_gpu': """
import mmengine.dist
os.environ |= dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='localhost',
                   MASTER_PORT='0')
mmengine.dist.init_dist('pytorch', backend='gloo')
""",
    'count_attention': """
import torch
from mmengine.analysis import FlopAnalyzer
class Attention(torch.nn.Module):
    def forward(self, x, y):
        return torch.nn.functional.scaled_dot_product_attention(x, y, y)
assert FlopAnalyzer(Attention(), (torch.ones(5, 4, 2, 3), torch.ones(5, 4, 7, 3))).total() == (
    2 * 5 * 4 * 2 * 7 * 3)
""",
    'draw_clips': """
import tempfile, torch
from mmaction.engine.hooks import VisualizationHook
from mmaction.visualization import ActionVisualizer
visualizer = ActionVisualizer.get_instance('any')
with tempfile.TemporaryDirectory() as folder:
    hook = VisualizationHook(enable=True, interval=1, out_dir=folder)
    hook._draw_samples(0, dict(inputs=[torch.ones(2, 3, 8, 32, 32)]), [{}])
    assert len(os.listdir(os.path.join(folder, '0_0', 'frames_0'))) == 8
""",
    'accept_newer_mmcv': 'import mmaction',
    'leave_out_vindlu': 'import mmaction.models',
    'pool_texts_of_chinese_clip': """
import torch
from transformers import ChineseCLIPConfig, ChineseCLIPModel
tower = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
model = ChineseCLIPModel(ChineseCLIPConfig(
    text_config=dict(tower, vocab_size=9), projection_dim=8,
    vision_config=dict(tower, image_size=8, patch_size=8)))
model.get_text_features(torch.zeros(1, 2, dtype=torch.long))
""",
    'let_xclip_return_names': """
import torch
from transformers import XCLIPConfig, XCLIPModel
tower = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
model = XCLIPModel(XCLIPConfig(
    text_config=dict(tower, vocab_size=50000, max_position_embeddings=4), projection_dim=8,
    vision_config=dict(tower, image_size=8, patch_size=8, num_frames=2, mit_hidden_size=8,
                       mit_intermediate_size=8, mit_num_hidden_layers=1,
                       mit_num_attention_heads=1)))
model.get_video_features(torch.zeros(1, 2, 3, 8, 8))
""",
}

# Imports once what takes long, unmended, and tries each fault in a fork of that.
TRY_FAULTS = """
import importlib.util, json, os, sys, traceback, warnings
import mmengine.runner
spec = importlib.util.spec_from_file_location('compat', sys.argv[1])
compat = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compat)
tables = compat._MENDS, compat._RESCUES

def apply():
    warnings.filterwarnings('error', 'pkg_resources')
    compat.apply()

def fails(program):
    try:
        exec(program, {'os': os})
    except Exception:
        traceback.print_exc()
        return True
    finally:  # a Runner's, which would be the next one's
        mmengine.registry.DefaultScope._instance_dict.clear()
    return False

def forked(job):
    end, other_end = os.pipe()
    if not os.fork():
        os.write(other_end, json.dumps(job()).encode())
        os._exit(0)
    os.close(other_end)
    with open(end) as answer:
        return json.loads(answer.read())

def without(left_out):
    for table in tables:
        for name in [name for name, mend in table.items() if mend.__name__ == left_out]:
            del table[name]
    apply()
    return fails(faults[left_out])

def with_all():
    apply()
    return [{name: fails(program) for name, program in faults.items()}, compat.active()]

faults = json.loads(sys.argv[2])
tried = {name: forked(lambda: without(name)) for name in faults}
print(json.dumps([tried, *forked(with_all)]))
"""


@pytest.fixture(scope='module')
def tried():
    done = subprocess.run([sys.executable, '-c', TRY_FAULTS, compat.__file__, json.dumps(FAULTS)],
                          text=True, capture_output=True, check=False,
                          env=os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])})
    assert done.returncode == 0, done.stderr
    return [*json.loads(done.stdout.splitlines()[-1]), done.stderr]


@pytest.mark.parametrize('mend', [*compat._MENDS.values(), *compat._RESCUES.values()],
                         ids=lambda mend: mend.__name__)
def test_a_mend_is_applied_where_its_fault_is_and_there_alone(tried, mend):
    """The others are there; what is mended may have been imported before."""
    fails_without, fails_with_all, active, told = tried
    assert not fails_with_all[mend.__name__], told
    assert active[mend.__name__] is fails_without[mend.__name__], told


def test_active_knows_nothing_of_what_was_not_imported():
    done = subprocess.run([sys.executable, '-c', 'from tvtsv2_mm import compat; assert set('
                           'compat.active().values()) == {None}'],
                          env=os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])})
    assert done.returncode == 0


def test_a_second_apply_changes_nothing():
    loader = CheckpointLoader._schemes['']
    assert set(compat.apply().values()) == {False}
    assert CheckpointLoader._schemes[''] is loader


def test_mmaction_models_import_and_the_tools_of_torchvision_still_fail_as_they_must():
    import mmaction.models  # noqa: F401
    import torchvision
    boxes, scores = torch.rand(2, 4), torch.rand(2)
    if compat._torchvision_library is None:
        torchvision.ops.nms(boxes, scores, 0.5)
    else:
        with pytest.raises((NotImplementedError, RuntimeError)):
            torchvision.ops.nms(boxes, scores, 0.5)


def test_what_fails_beside_a_cpu_torch_can_be_imported_afterwards():
    """The line of docs/installation.md."""
    line = re.search(r'python -c "(import tvtsv2_mm, .*)"', (
        Path(__file__).parents[1] / 'docs' / 'installation.md').read_text())[1]
    subprocess.run([sys.executable, '-c', line], check=True)


def test_pkg_resources_is_imported_without_a_word():
    done = subprocess.run(
        [sys.executable, '-W', 'default', '-c', 'import tvtsv2_mm, warnings; warnings.warn("other")'
         '; from mmengine.utils import is_installed; is_installed("mmengine")'],
        text=True, capture_output=True, check=True)
    assert 'pkg_resources' not in done.stderr and 'other' in done.stderr


class TestDeclareTorchvisionOps:
    def test_not_where_the_import_works(self):
        # This process has mended it or had no need to.
        from torchvision import extension
        assert compat.declare_torchvision_ops(extension) is False

    def test_not_beside_a_cuda_build_of_torch(self, monkeypatch):
        monkeypatch.setattr(torch.version, 'cuda', '13.0')
        monkeypatch.delattr(torch.ops, 'torchvision')
        assert compat.declare_torchvision_ops(types.ModuleType('extension')) is False


class TestMmaction:
    """On made-up packages: what is installed has its mends already."""

    @pytest.fixture
    def module(self, tmp_path, monkeypatch):
        monkeypatch.delitem(sys.modules, self.DRN, raising=False)
        yield types.SimpleNamespace(__file__=str(tmp_path / '__init__.py'))
        sys.modules.pop(self.DRN, None)

    DRN = 'mmaction.models.localizers.drn.drn'

    def test_drn_is_stood_in_for_where_the_file_is_missing(self, module):
        assert compat.stand_in_for_drn(module) is True
        assert sys.modules[self.DRN].DRN is None
        assert compat.stand_in_for_drn(module) is False

    def test_drn_is_left_alone_where_mmaction_has_it(self, module):
        file = Path(module.__file__).parent / 'models/localizers/drn/drn.py'
        file.parent.mkdir(parents=True)
        file.touch()
        assert compat.stand_in_for_drn(module) is False
        assert self.DRN not in sys.modules


@pytest.mark.parametrize(('rescue', 'known', 'others'), [
    (compat.leave_out_vindlu, ImportError('gone', name='transformers.modeling_utils'),
     [ImportError('gone', name='einops'), RuntimeError('transformers.modeling_utils')]),
    (compat.leave_out_vindlu, ModuleNotFoundError('gone', name='timm'), []),
    (compat.accept_newer_mmcv, AssertionError('MMCV==2.3.6 is used but incompatible.'),
     [AssertionError('MMEngine==2.0 is used but incompatible.'), ImportError('MMCV==')]),
])
def test_an_import_is_saved_from_the_known_error_alone(rescue, known, others):
    module = types.ModuleType('mmaction')
    module.__file__ = 'mmaction.py'
    loader = types.SimpleNamespace(get_source=lambda name: 'assert False\nend = 1')
    assert rescue(known, module, loader) is True
    assert rescue is compat.leave_out_vindlu or module.end == 1
    for error in others:
        assert rescue(error, module, loader) is False


@pytest.mark.parametrize('name', ['mmaction', 'mmengine.config.utils', 'torchvision.extension'])
def test_other_errors_of_a_module_end_its_import(name):
    def fail(module):
        raise ImportError('other')

    with pytest.raises(ImportError, match='other'):
        compat._MendingLoader(types.SimpleNamespace(exec_module=fail)).exec_module(
            types.ModuleType(name))


def test_nothing_is_touched_where_the_packages_are_missing(monkeypatch):
    def fail_to_mend(module):
        raise AssertionError(module)

    for name in compat._MENDS:
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(compat._MENDS, name, fail_to_mend)
    assert compat.apply() == {'fail_to_mend': False}
    assert not compat._MENDS.keys() & sys.modules.keys()


def test_mmengine_knows_the_package_by_name():
    from mmengine.config.utils import MODULE2PACKAGE
    assert MODULE2PACKAGE['tvtsv2_mm'] == 'tvtsv2_mm'


class TestCheckpoints:
    @staticmethod
    def save(path, content):
        torch.save(content, path)
        return str(path)

    def load(self, path):
        return CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')

    def test_what_mmengine_writes_is_read(self, tmp_path):
        history = HistoryBuffer([1.0, 3.0], [1, 1])
        content = {
            'state_dict': {'weight': torch.ones(2)},
            'message_hub': {
                'log_scalars': {'train/loss': history},
                'runtime_info': {'lr': np.float64(0.1), 'last': np.float32(2), 'steps': np.int64(3),
                                 'best': np.bool_(True), 'row': np.arange(3), 'cfg': 'a = 1'},
            },
        }
        with pytest.raises(pickle.UnpicklingError):
            torch.load(self.save(tmp_path / 'own.pth', content), weights_only=True)
        loaded = self.load(str(tmp_path / 'own.pth'))
        assert loaded['message_hub']['log_scalars']['train/loss'].mean() == 2.0
        runtime_info = loaded['message_hub']['runtime_info']
        assert runtime_info['lr'] == 0.1 and runtime_info['steps'] == 3 and runtime_info['best']
        assert runtime_info['row'].tolist() == [0, 1, 2]

    @pytest.mark.parametrize('function', [os.system, subprocess.check_output, builtins.print])
    def test_a_malicious_file_is_refused(self, tmp_path, function, capfd):
        path = self.save(tmp_path / 'bad.pth', {'state_dict': Malicious(function, 'echo struck')})
        with pytest.raises(pickle.UnpicklingError):
            self.load(path)
        assert 'struck' not in capfd.readouterr().out

    @pytest.mark.parametrize(('owner', 'name'), [
        (HistoryBuffer, '__init__'), (HistoryBuffer, 'mean.__globals__'), (np.ndarray, 'tofile'),
        (np.dtype, 'mean'),
    ])
    def test_getattr_reaches_nothing_but_statistics(self, tmp_path, owner, name):
        path = self.save(tmp_path / 'bad.pth', {'state_dict': Malicious(getattr, owner, name)})
        with pytest.raises((pickle.UnpicklingError, ValueError), match='attribute'):
            self.load(path)

    def test_the_environment_cannot_turn_it_off(self, tmp_path, monkeypatch):
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
        path = self.save(tmp_path / 'bad.pth', {'state_dict': Malicious(os.getcwd)})
        with pytest.raises(pickle.UnpicklingError):
            self.load(path)

    def test_urls_too(self, tmp_path, monkeypatch):
        path = self.save(tmp_path / 'bad.pth', {'state_dict': Malicious(os.getcwd)})
        with pytest.raises(pickle.UnpicklingError):
            mmengine_checkpoint.load_url(f'file://{path}', model_dir=str(tmp_path / 'cache'))

    @pytest.mark.parametrize('address', ['', 'file://', 's3://'])
    def test_what_a_resumed_run_would_obey_is_left_out(self, tmp_path, address, monkeypatch):
        path = self.save(tmp_path / 'own.pth', {
            'meta': {'config': 'raise SystemExit', 'epoch': 1},
            'message_hub': {'runtime_info': {'best_ckpt': '/home', 'best_ckpt_acc': '/home',
                                             'keep_ckpt_ids': ['1.pth/../../other'],
                                             'best_score': 1.0}}})
        if address == 'file://':
            loaded = mmengine_checkpoint.load_url(
                f'file://{path}', model_dir=str(tmp_path / 'cache'))
        else:
            monkeypatch.setattr('mmengine.fileio.get_local_path',
                                lambda *_, **__: nullcontext(path))
            loaded = self.load('s3://own.pth' if address else path)
        assert loaded == {'meta': {'epoch': 1},
                          'message_hub': {'runtime_info': {'best_score': 1.0}}}

    def test_the_allow_list_is_for_these_loads_alone(self, tmp_path):
        path = self.save(tmp_path / 'own.pth', {'history': HistoryBuffer([1.0], [1])})
        self.load(path)
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path, weights_only=True)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
            self.load(str(tmp_path / 'nowhere.pth'))

    def test_a_loader_of_somebody_else_stays(self, monkeypatch):
        def loader(filename, map_location):
            return {}

        monkeypatch.setitem(CheckpointLoader._schemes, '', loader)
        assert compat.handle_checkpoints_safely(mmengine_checkpoint) is False
        assert CheckpointLoader._schemes[''] is loader


class TestGloo:
    @pytest.fixture
    def calls(self, monkeypatch):
        calls = []
        monkeypatch.setattr(torch.distributed, 'init_process_group',
                            lambda **kwargs: calls.append(('torch', kwargs)))
        return calls

    @staticmethod
    def original(backend, **kwargs):
        raise AssertionError(f'mmengine: {backend}')

    def test_gloo_on_a_cpu_starts_the_group_itself(self, calls):
        compat._init_dist_pytorch(self.original, 'gloo', init_backend='torch', world_size=1)
        assert calls == [('torch', {'backend': 'gloo', 'world_size': 1})]

    def test_another_backend_is_mmengines(self, calls):
        with pytest.raises(AssertionError, match='mmengine: nccl'):
            compat._init_dist_pytorch(self.original, 'nccl')
        assert calls == []

    def test_not_where_there_is_an_accelerator(self, monkeypatch):
        monkeypatch.setattr('mmengine.device.get_device', lambda: 'cuda')
        utils = types.SimpleNamespace(_init_dist_pytorch=self.original)
        assert compat.start_gloo_without_gpu(utils) is False
        assert utils._init_dist_pytorch is self.original


def test_an_address_that_gives_nothing_is_named(tmp_path):
    with pytest.raises(OSError, match=r'nowhere\.pth cannot be downloaded'):
        mmengine_checkpoint.load_url(f'file://{tmp_path}/nowhere.pth', model_dir=str(tmp_path))


class TestWhoeverImportsFirst:
    """In processes of their own: this one has imported everything."""

    SAFE = """
from mmengine.runner.checkpoint import CheckpointLoader, load_url
schemes = CheckpointLoader._schemes
for loader in (schemes[''], schemes[r'(\\S+\\:)?s3://'], load_url):
    assert loader.__module__.startswith('tvtsv2_mm.'), loader
assert 'pavi://' not in schemes
"""

    @staticmethod
    def run(program, cwd=None):
        subprocess.run([sys.executable, '-c', program], cwd=cwd, check=True,
                       env=os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])})

    def test_the_package_loads_nothing_of_others(self):
        self.run("""
import sys
before = {*sys.modules}
import tvtsv2_mm
loaded = {name.partition('.')[0] for name in {*sys.modules} - before}
assert loaded - sys.stdlib_module_names == {'tvtsv2_mm'}, loaded
""")

    def test_the_package_before_the_others_and_after_a_reload(self):
        self.run(f"""
import tvtsv2_mm
from transformers import CLIPTextModelWithProjection
import torchvision, mmengine.runner
{self.SAFE}
import importlib, sys
importlib.reload(mmengine.runner.checkpoint)
{self.SAFE}
importlib.reload(tvtsv2_mm.compat).apply()  # now there are two finders
importlib.reload(mmengine.dist.utils)
del sys.modules['mmengine.runner.checkpoint']
{self.SAFE}
assert mmengine.dist.utils._init_dist_pytorch.func.__module__ == 'tvtsv2_mm.compat'
""")

    def test_the_package_behind_the_others_and_what_failed_goes_on(self):
        self.run(f"""
import contextlib, importlib
for name in ('mmengine.runner', 'mmpretrain', 'mmaction', 'torchvision', 'mmaction.models'):
    with contextlib.suppress(AssertionError, ImportError, RuntimeError):
        importlib.import_module(name)
import tvtsv2_mm, mmengine.runner
{self.SAFE}
assert mmengine.dist.utils._init_dist_pytorch.func.__module__ == 'tvtsv2_mm.compat'
import mmaction.models, mmpretrain.models, torchvision
assert torchvision.transforms and mmaction.models.localizers and mmaction.models.multimodal
""")

    @pytest.mark.parametrize('config', [
        "custom_imports = dict(imports=['tvtsv2_mm'])",
        "default_scope = 'tvtsv2_mm'\nmodel = dict(type='VideoTextDataPreprocessor')"])
    def test_a_config_that_brings_the_package_in_late(self, tmp_path, config):
        (tmp_path / 'some.py').write_text(config)
        self.run(f"""
import mmengine.runner
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
cfg = Config.fromfile('some.py')
if 'model' in cfg:
    init_default_scope(cfg.default_scope)
    MODELS.build(cfg.model)
{self.SAFE}
""", tmp_path)

    def test_threads_that_import_at_once(self):
        self.run(f"""
import importlib, threading, torch, tvtsv2_mm  # torch 2.15 itself cannot stand that
names = ['mmengine.runner', 'mmengine.runner.checkpoint', 'torchvision', 'mmaction.models']
threads = [threading.Thread(target=importlib.import_module, args=(name, )) for name in names * 2]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
import mmaction.models, torchvision
{self.SAFE}
""")

    def test_a_config_of_the_package_as_a_base(self, tmp_path):
        (tmp_path / 'some.py').write_text("_base_ = 'tvtsv2_mm::tvtsv2/vit-b16_pretrain.py'\n")
        self.run("""
import tvtsv2_mm
from mmengine.config import Config
assert Config.fromfile('some.py').model.type == 'VideoTextModel'
""", tmp_path)

    def test_others_find_the_modules_as_before(self):
        """The loader of the module answers before the import, and is the module's own after it."""
        self.run("""
import importlib.machinery, importlib.resources, importlib.util, inspect, sys
import tvtsv2_mm, mmengine.config
name = 'mmengine.config.utils'
for lazily in (False, True):
    del sys.modules[name]
    spec = importlib.util.find_spec(name)
    assert 'MODULE2PACKAGE' in spec.loader.get_source(name)
    if lazily:
        spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert 'tvtsv2_mm' in module.MODULE2PACKAGE
    assert 'MODULE2PACKAGE' in inspect.getsource(module)
    for loader in (module.__loader__, module.__spec__.loader):
        assert type(loader) is importlib.machinery.SourceFileLoader
assert importlib.resources.files('mmengine.config').joinpath('utils.py').is_file()
assert importlib.util.find_spec('mmengine.no_such_module') is None
""")

    def test_a_mend_that_fails_ends_the_import(self):
        self.run("""
import sys
from tvtsv2_mm import compat
compat._MENDS['mmengine.config.utils'] = lambda module: 1 / 0
try:
    import mmengine.config.utils
except ZeroDivisionError:
    assert 'mmengine.config.utils' not in sys.modules
else:
    raise AssertionError
""")
