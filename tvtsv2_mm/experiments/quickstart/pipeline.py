"""The paper's story in small, stage by stage, for one seed."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tvtsv2_mm.experiments import protocols
from tvtsv2_mm.experiments.quickstart.figures import draw_figures
from tvtsv2_mm.experiments.scale import Scale
from tvtsv2_mm.experiments.stages import Stages
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes

PROTOCOLS = ('zero-shot', 'retrieval', 'sorting', 'linear-probe')
MODELS = ('untrained', 'clip', 'tvtsv2')


# Four events of about 4 s: each of the 4 segments (3 s and a gap of 1 s) tells mostly of one of
# them, which sorting needs if it shall begin within minutes.
STORIES = {'num_events': (4, 4), 'event_seconds': (3.9, 4.05), 'order_clips': (0, 0)}
FULL = Scale(data=NarratedShapesOptions(**STORIES))
SMOKE = Scale(
    data=NarratedShapesOptions(transcript_videos=(96, 40), clip_rounds=(1, 1), **STORIES),
    epochs=(('tiny_clip', 2), ('tiny_pretrain', 2), ('tiny_linear-probe', 2)), repeats=5)


def run_seed(work_dir: Path, *, seed: int, scale: Scale, config_dir: Path,
             base: str = 'clip') -> dict[str, Any]:
    """Run everything for one seed, of data, weights and training, in a folder of its own.

    What is finished already is not done again. ``config_dir`` holds the ``tiny_*.py`` configs;
    ``base`` is one of ``BASES``.

    Returns:
        ``figures``: {protocol: {model: {metric: per cent}}}, ``picture``: path of the PNG,
        ``seconds``: {stage: seconds when it was done}.
    """
    run = _Run(work_dir.resolve(), seed=seed, scale=scale, config_dir=config_dir, base=base)
    checkpoints = run.train_models()
    figures = {protocol: {model: run.evaluate(protocol, model, checkpoints[model])
                          for model in MODELS} for protocol in PROTOCOLS}
    figures['frame-matching'] = {
        'clip': run.evaluate('frame-matching', 'clip', checkpoints['clip'])}
    picture = run.draw(checkpoints)
    return {'seed': seed, 'figures': figures, 'picture': picture,
            'seconds': run.stages.seconds}


class _Run:
    """The stages of one seed; each method is one or a few of them."""

    def __init__(self, root: Path, *, seed: int, scale: Scale, config_dir: Path,
                 base: str) -> None:
        self.root, self.seed, self.scale, self.config_dir = root, seed, scale, config_dir
        self.base = base
        # data, three models, four protocols for each of them, frame matching, pictures
        self.stages = Stages(root, total=4 + len(PROTOCOLS) * len(MODELS) + 2,
                             title=f'quickstart, seed {seed}')

    def train_models(self) -> dict[str, dict[str, Any]]:
        """Render the data, train the tiny CLIP and TVTSv2 from it, and save an untrained model."""
        options = replace(self.scale.data, seed=self.seed)
        self.data = self.stages.run('data', {'options': asdict(options)}, lambda folder: {
            'videos': build_narrated_shapes(folder / 'shapes', options,
                                            workers=os.cpu_count() or 1)})
        pretrain = self._config('pretrain', 'tvtsv2')
        untrained = self.stages.run(
            'untrained', {'config': pretrain.model.to_dict(), 'seed': self.seed},
            lambda folder: protocols.save_untrained(pretrain, folder, seed=self.seed))
        clip_cfg = self._config('clip', 'clip')
        clip = self.stages.run('clip', {'config': clip_cfg.to_dict(), 'data': self.data['stamp']},
                           lambda folder: protocols.train(clip_cfg, folder))
        pretrain.load_from = clip['checkpoint']
        tvtsv2 = self.stages.run('tvtsv2', {'config': pretrain.to_dict(), 'clip': clip['stamp']},
                             lambda folder: protocols.train(pretrain, folder))
        return {'untrained': untrained, 'clip': clip, 'tvtsv2': tvtsv2}

    def evaluate(self, protocol: str, model: str, checkpoint: dict[str, Any]) -> dict[str, float]:
        """Run one protocol on one model; the same config for each of them."""
        is_matching = protocol == 'frame-matching'
        work = protocols.match_frames if is_matching else protocols.evaluate
        cfg = self._config('sorting' if is_matching else protocol, model)
        return self.stages.run(
            f'{protocol}_{model}', self._inputs(cfg, checkpoint),
            lambda folder: work(cfg, folder, checkpoint['checkpoint']))['metrics']

    def draw(self, checkpoints: dict[str, dict[str, Any]]) -> str:
        """Draw the curves, the similarities and one predicted order."""
        configs = {name: self._config(name, 'tvtsv2') for name in ('retrieval', 'sorting')}
        return self.stages.run(
            'picture', self._inputs(configs['sorting'], checkpoints['tvtsv2']),
            lambda folder: {'picture': draw_figures(
                folder, logs={name: self.root / name for name in ('clip', 'tvtsv2')},
                configs=configs, checkpoint=checkpoints['tvtsv2']['checkpoint'])})['picture']

    def _inputs(self, cfg: Config, checkpoint: dict[str, Any]) -> dict[str, Any]:
        return {'config': cfg.to_dict(), 'checkpoint': checkpoint['stamp'],
                'data': self.data['stamp']}

    def _config(self, name: str, model: str) -> Config:
        cfg = protocols.load_config(self.config_dir / f'tiny_{name}.py',
                                    data_root=self.root / 'data/shapes', seed=self.seed)
        if self.base != 'clip':
            self._put_base(cfg)
        if model == 'clip':
            cfg.model.backbone.type = 'FramewiseViT'
        self.scale.apply(cfg, f'tiny_{name}')
        return cfg

    def _put_base(self, cfg: Config) -> None:
        """Make the parts of a tiny CLIP those of another base, frozen as they were; and rates."""
        other = Config.fromfile(self.config_dir / f'tiny_{self.base}_pretrain.py')
        model = cfg.model
        for part in ('data_preprocessor', 'backbone', 'neck', 'contrastive_head', 'sorting_head'):
            if model.get(part) is not None:
                kept = {key: model[part][key] for key in ('frozen', 'frozen_layers')
                        if key in model[part]}
                model[part] = {**other.model[part], **kept}
        if 'embed_dim' in (model.get('cls_head') or {}):
            model.cls_head.embed_dim = other.model.sorting_head.embed_dim
        rates = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg', {}).get('lr_mult', {})
        for name in rates:
            rates[name] = other.optim_wrapper.paramwise_cfg.lr_mult[name]
