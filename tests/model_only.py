"""What a model-only install can do: tests/test_model_only.py runs it in a process of its own.

Prints one line of JSON, by the name of each package of an extra: the message where it is missing.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Hidden beside the packages of the extras: what others import where it is there.
OTHERS = {'mim', 'mmpretrain', 'pandas', 'scipy', 'tensorboard', 'terminaltables', 'timm',
          'torchvision'}
hidden: set[str] = set()


class Hiding:
    """A finder that finds nothing of what is hidden. (One that raises breaks transformers.)"""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        found = name.partition('.')[0] not in hidden
        return self._finder.find_spec(name, path, target) if found else None


def work_without_extras(folder: Path) -> None:
    """Build every model, train one by hand and by a Runner, and embed arrays with it."""
    import numpy as np
    import torch
    from mmaction.structures import ActionDataSample
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
    from tvtsv2_mm.checkpoints import model_config, read_weights  # noqa: F401
    from tvtsv2_mm.checkpoints.lora import without_lora
    from tvtsv2_mm.registry import DATASETS, MODELS, OPTIM_WRAPPERS

    import_module('mmaction.models')
    init_default_scope('tvtsv2_mm')
    for config in sorted((ROOT / 'configs' / 'tvtsv2').glob('*.py')):
        model = Config.fromfile(config).model
        if model.backbone.type in ('HuggingFaceBackbone', 'XClipBackbone'):
            continue  # its sizes are in a folder
        with torch.device('meta'):
            # Adapters need a package of an extra, MMAction2's mixup values.
            MODELS.build(dict(without_lora(model), cls_head=None, data_preprocessor=None))

    cfg = Config.fromfile(ROOT / 'configs' / 'tvtsv2' / 'tiny_pretrain.py')
    model = MODELS.build(cfg.model)
    size = cfg.model.backbone.image_size
    videos = np.random.default_rng(0).integers(256, size=(4, 8, size, size, 3), dtype=np.uint8)
    samples = [dict(inputs=dict(video=torch.from_numpy(video).permute(0, 3, 1, 2),
                                tokens=torch.randint(1, 49408, (4, 32))),
                    data_samples=ActionDataSample()) for video in videos]
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = model.train_step(pseudo_collate(samples), OPTIM_WRAPPERS.build(
        dict(type='OptimWrapper', optimizer=optimizer)))
    assert losses['loss'].isfinite() and {'loss_contrastive', 'loss_sorting'} <= losses.keys()
    assert any(not torch.equal(value, before[name]) for name, value in model.named_parameters())

    # mmengine's Visualizer, which a Runner always makes, cannot be made without it.
    hidden.remove('matplotlib')
    DATASETS.register_module('noise', module=lambda: samples)
    for name in ('val_dataloader', 'val_evaluator', 'val_cfg',
                 'test_dataloader', 'test_evaluator', 'test_cfg'):
        cfg.pop(name)
    cfg.work_dir = str(folder)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
    cfg.train_dataloader = dict(batch_size=2, dataset=dict(type='noise'),
                                sampler=dict(type='DefaultSampler', shuffle=False))
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 4
    checkpoint = folder / 'epoch_2.pth'
    infer = TVTSv2Inferencer(weights=str(checkpoint), device='cpu', show_progress=False)
    for prediction in infer(list(videos))['predictions']:
        assert np.isfinite(prediction['features']).all()




def call(name: str, *arguments: Any) -> Callable[[], Any]:
    """Import what a dotted name names, and call it."""
    module, _, function = name.rpartition('.')
    return lambda: getattr(import_module(f'tvtsv2_mm.{module}'), function)(*arguments)


def add_lora() -> None:
    """Give a layer adapters."""
    from torch import nn

    from tvtsv2_mm.models.lora import add_lora
    add_lora(nn.Sequential(nn.Linear(2, 2)), rank=1)


def uses(folder: Path) -> dict[str, Callable[[], Any]]:
    """What needs each package."""
    (folder / 'empty.srt').touch()
    os.environ['TVTSV2_MM_CACHE'] = str(folder)
    converters, onnx = 'preparation.converters', Path('x.onnx')
    return {
        'av': call('video.opening.open_video', 'a.mp4'),
        'decord': call('video.decord_reader.import_decord'),
        'matplotlib': call('apis.pictures.draw_labels'),
        'open_clip': call('utils.tokenizer.ClipTokenizer'),
        'faiss': call('apis.search.index.import_faiss'),
        'ftfy': call(f'{converters}.yt_temporal._mended', 'é'),
        'ijson': lambda: list(call(f'{converters}.howto100m._from_json', folder)()),
        'py3langid': lambda: list(call('preparation.inspection.languages.detect_languages', '')()),
        'gdown': call('checkpoints.published.locate', 'tvtsv2-b16'),
        'peft': add_lora,
        'pyarrow': call('apis.features.FeatureStore', folder, 'parquet'),
        'pysubs2': call(f'{converters}.subtitles.read_subtitles', folder / 'empty.srt'),
        'rapidfuzz': call(f'{converters}.word_alignment.transfer_times', [], []),
        'ray': call('utils.parts.import_ray'),
        'sklearn': call('evaluation.probes.fit_probe'),
        'webdataset': call('datasets.shards.index.load_index', 'index.json'),
        'onnx': call('apis.export._write_onnx', None, onnx),
        'onnxruntime': call('apis.export._load_onnx', onnx),
        'onnxscript': call('apis.export._write_onnx', None, onnx),
        'datasets': call('apis.mteb_encoder.load_encoder'),
        'mteb': call('apis.mteb_encoder.load_encoder'),
        'sentence_transformers': call('apis.sentence_transformer.sentence_transformer'),
        'faster_whisper': call('preparation.transcription.whisper.load_whisper', 'small'),
        'fastapi': call('apis.page.app.build_app'),
        'uvicorn': call('apis.page.serving.PageServer'),
    }


def message_without(package: str, use: Callable[[], Any]) -> str:
    """What using a package says where it alone cannot be found."""
    hidden.clear()
    hidden.add(package)
    for name in [name for name in sys.modules if name.partition('.')[0] == package]:
        del sys.modules[name]
    try:
        use()
    except ImportError as error:
        return str(error)
    return ''


if __name__ == '__main__':
    sys.meta_path[:] = map(Hiding, sys.meta_path)
    sys.path.insert(0, str(ROOT))
    from tvtsv2_mm.utils.extras import EXTRAS
    hidden.update(OTHERS, *EXTRAS.values())
    with tempfile.TemporaryDirectory() as path:
        work_without_extras(Path(path))
        print(json.dumps({package: message_without(package, use)
                          for package, use in uses(Path(path)).items()}))
