"""The trainings and measurements of one part of the study, for one seed."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

from mmengine.config import Config

from tvtsv2_mm.engine.hooks.out_of_the_box_monitor_hook import DRIFT, ZERO_SHOT
from tvtsv2_mm.experiments import protocols
from tvtsv2_mm.experiments.scale import Scale
from tvtsv2_mm.experiments.stages import Stages
from tvtsv2_mm.experiments.study.settings import (
    BEST_RATE,
    GUARDED,
    PARTS,
    RATES,
    SCORES,
    SETTINGS,
    SPOKEN,
    Setting,
)
from tvtsv2_mm.models.cost import encoder_cost, kept_count
from tvtsv2_mm.preparation.narrated_shapes import NarratedShapesOptions, build_narrated_shapes
from tvtsv2_mm.preparation.narrated_shapes.events import THINGS
from tvtsv2_mm.preparation.narrated_shapes.registers import REGISTERS

BASE = 'clip'  # the tiny CLIP that all trainings start from
GUARD_WORDS = {  # of its warnings
    'drift': 'no longer where the text encoder had them', 'fall': ' fell from '}
ORDERS = ('shuffled', 'reversed', 'single')
# Stages of a measured model: two kinds of classes, four protocols.
_MEASURES = ('things', 'motions', 'retrieval', 'choice', 'sorting', 'probe')
_CONFIGS = {'things': 'zero-shot', 'motions': 'zero-shot', 'choice': 'multiple-choice',
            'probe': 'linear-probe', 'frames': 'zero-shot'}


# Two of six colours are in stills alone, as most of what a CLIP knows is in no video of a set.
_STORIES = {'num_events': (4, 4), 'event_seconds': (3.9, 4.05), 'unseen_colours': 2}
FULL = Scale(data=NarratedShapesOptions(order_clips=(0, 200), **_STORIES))
SMOKE = Scale(
    data=NarratedShapesOptions(transcript_videos=(40, 10), clip_rounds=(1, 1),
                               order_clips=(0, 10), **_STORIES),
    epochs=(('tiny_clip_registers', 1), ('tiny_pretrain_spoken', 1), ('tiny_linear-probe', 1)),
    repeats=1)
_TIMED_STEPS = 20  # of each setting, in turn


def run_part(name: str, work_dir: Path, *, seed: int, scale: Scale,
             config_dir: Path) -> dict[str, dict[str, float]]:
    """Train every setting of a part from one tiny CLIP, and measure them and the CLIP itself.

    What is finished already, by another part too, is not done again.

    Returns:
        {``'clip'`` or setting: {measure: value}}.
    """
    part = PARTS[name]
    run = _Run(work_dir.resolve() / f'seed{seed}', seed=seed, scale=scale, config_dir=config_dir,
               total=3 + len(part.settings) + (1 + len(part.settings)) * (
                   len(_MEASURES) + (name == 'order') * len(ORDERS)), title=name)
    run.make_base()
    found = {}
    for setting in (None, *part.settings):
        checkpoint = run.base if setting is None else run.train(setting)
        found[setting or BASE] = run.measure(
            setting or BASE, checkpoint, orders=ORDERS if name == 'order' else ())
    for setting, costs in run.costs(part.settings, name).items():
        found[setting] |= costs
    return found


def search_rates(work_dir: Path, *, seed: int, scale: Scale,
                 config_dir: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Train every setting at every rate: the same budget for each.

    The seed is to be none of those that are reported.

    Returns:
        {setting: {rate: {``'things'`` or ``'motions'``: zero-shot in per cent; and ``GUARDED``}}}.
    """
    run = _Run(work_dir.resolve() / f'seed{seed}', seed=seed, scale=scale, config_dir=config_dir,
               total=2 + 3 * len(RATES) * sum(
                   setting.rate is None for setting in SETTINGS.values()), title='rates')
    run.make_base()
    return {name: {f'{rate:g}': run.score(name, rate) for rate in RATES}
            for name, setting in SETTINGS.items() if setting.rate is None}


class _Run:
    """The stages of one seed."""

    def __init__(self, root: Path, *, seed: int, scale: Scale, config_dir: Path, total: int,
                 title: str) -> None:
        self.root, self.seed, self.scale, self.config_dir = root, seed, scale, config_dir
        self.stages = Stages(root, total=total, title=f'study of {title}, seed {seed}')

    def make_base(self) -> None:
        """Render the data, and train the tiny CLIP on stills in all registers."""
        options = replace(self.scale.data, seed=self.seed)
        self.data = self.stages.run('data', {'options': asdict(options)}, lambda folder: {
            'videos': build_narrated_shapes(folder / 'shapes', options,
                                            workers=os.cpu_count() or 1)})
        cfg = self._config('clip_registers')
        self.base = self.stages.run(BASE, {'config': cfg.to_dict(), 'data': self.data['stamp']},
                                    lambda folder: protocols.train(cfg, folder))

    def train(self, name: str, rate: float | None = None) -> dict[str, Any]:
        """Train one setting, at its own rate or another."""
        setting = SETTINGS[name]
        if rate is not None:
            setting, name = replace(setting, rate=rate), f'{name}_{rate:g}'
        cfg = self._pretraining(setting)
        inputs = {'config': cfg.to_dict(), 'data': self.data['stamp'], 'clip': self.base['stamp']}
        cfg.load_from = self.base['checkpoint']
        return self.stages.run(name, inputs, lambda folder: protocols.train(cfg, folder))

    def score(self, name: str, rate: float) -> dict[str, float]:
        """What a rate is chosen by."""
        checkpoint = self.train(name, rate)
        scores = {}
        for kind, registers in SCORES.items():
            found = self._measure(kind, f'{name}_{rate:g}', checkpoint)
            scores[kind] = round(mean(found[register] for register in registers), 4)
        guard = self._guard(f'{name}_{rate:g}')
        return scores | {measure: guard[measure] for measure in GUARDED}

    def measure(self, name: str, checkpoint: dict[str, Any], *,
                orders: tuple[str, ...]) -> dict[str, float]:
        """Everything that is read off a model, out of the box, on held-out videos."""
        found: dict[str, float] = {}
        for kind in _MEASURES:
            metrics = self._measure(kind, name, checkpoint)
            found |= {key if key.startswith(f'{kind}/') else f'{kind}/{key}': value
                      for key, value in metrics.items()}
        for order in orders:
            found[f'frames/{order}'] = self._measure('frames', name, checkpoint, order)[SPOKEN]
        return found if name == BASE else found | self._guard(name)

    def _measure(self, kind: str, name: str, checkpoint: dict[str, Any],
                 order: str = '') -> dict[str, float]:
        cfg = self._config(_CONFIGS.get(kind, kind), is_base=name == BASE)
        data = cfg.test_dataloader.dataset
        prompts: dict[str, Any] = {}
        if kind == 'things':
            data.ann_file = str(Path(data.ann_file).with_name('things_test.txt'))
            prompts = {key: one.thing_prompts() for key, one in REGISTERS.items()}
        elif cfg.model.get('cls_head', {}).get('type') == 'ZeroShotHead':
            prompts = {key: one.motion_prompts() for key, one in REGISTERS.items()}
        narrated = self.scale.data.narrated_things
        unseen = [label for label, thing in enumerate(THINGS) if thing not in narrated]
        if order:
            data.pipeline[1].frames = order
        inputs = {'config': cfg.to_dict(), 'prompts': prompts, 'data': self.data['stamp'],
                  'checkpoint': checkpoint['stamp']}

        def work(folder: Path) -> dict[str, Any]:
            if prompts:
                return protocols.recognise(cfg, folder, checkpoint['checkpoint'], prompts,
                                           unseen if kind == 'things' else ())
            return protocols.evaluate(cfg, folder, checkpoint['checkpoint'])

        stage = '_'.join(filter(None, (kind, order, name)))
        return self.stages.run(stage, inputs, work)['metrics']

    def costs(self, names: Sequence[str], title: str) -> dict[str, dict[str, float]]:
        """What a step of each setting costs, their steps timed in turn."""
        configs = {name: self._pretraining(SETTINGS[name]) for name in names}
        inputs = {name: cfg.to_dict() for name, cfg in configs.items()}
        timed = self.stages.run(
            f'seconds_{title}', inputs,
            lambda folder: {'steps': protocols.time_steps(configs, folder, _TIMED_STEPS)})
        return {name: {'cost/gflop': _gflop(cfg.model.backbone.to_dict(), SETTINGS[name].mask),
                       'cost/seconds': timed['steps'][name]} for name, cfg in configs.items()}

    def _pretraining(self, setting: Setting) -> Config:
        cfg = self._config('pretrain_spoken')
        cfg.merge_from_dict({f'model.{key}': value for key, value in setting.model.items()})
        cfg.optim_wrapper.optimizer.lr = setting.rate or BEST_RATE
        cfg.train_dataloader.dataset.datasets[1].dataset.ann_file = \
            f'annotations/{setting.captions}_train.jsonl'
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None  # not all can sort
        self._watch(cfg)
        for dataset in cfg.train_dataloader.dataset.datasets:
            for transform in dataset.dataset.pipeline:
                if transform.type == 'RandomTubeMask':
                    transform.ratio = setting.mask
        return cfg

    def _watch(self, cfg: Config) -> None:
        """Add the guard that users have, by words that the videos do not speak.

        It changes nothing in the training.
        """
        classes, prompts = REGISTERS['caption'].thing_prompts()
        others = REGISTERS['synonyms']
        texts = [others.sentences[0].format(thing=others.thing(*thing), motion=others.motions[0])
                 for thing in THINGS]
        probe = cfg.motions_check.to_dict()
        length = cfg.model.neck.context_length
        probe['cls_head'].update(classes=classes, prompts=prompts, context_length=length)
        dataset = probe['dataloader']['dataset']
        dataset['ann_file'] = str(Path(dataset['ann_file']).with_name('things_test.txt'))
        cfg.default_hooks.out_of_the_box = dict(
            probe, type='OutOfTheBoxMonitorHook', benchmark='18 things', texts=texts, interval=400,
            context_length=length)

    def _guard(self, name: str) -> dict[str, float]:
        """The worst that the guard saw while a model was trained, and of what it warned."""
        told = [line for line in protocols.read_scalars(self.root / name) if ZERO_SHOT in line]
        log = max((self.root / name).glob('*/*.log')).read_text('utf-8')
        warned = {f'guard/warned/{kind}': 100.0 * any(
            ' - WARNING - ' in line and words in line for line in log.splitlines())
            for kind, words in GUARD_WORDS.items()}
        return warned | {
            'guard/drift': round(max(line.get(DRIFT, 0.0) for line in told), 8),
            'guard/fall': round(told[0][ZERO_SHOT] - min(line[ZERO_SHOT] for line in told), 4)}

    def _config(self, name: str, *, is_base: bool = False) -> Config:
        cfg = protocols.load_config(self.config_dir / f'tiny_{name}.py',
                                    data_root=self.root / 'data/shapes', seed=self.seed)
        if is_base:
            cfg.model.backbone.type = 'FramewiseViT'
        self.scale.apply(cfg, f'tiny_{name}')
        return cfg


def _gflop(backbone: dict[str, Any], mask: float) -> float:
    kept = kept_count(backbone, mask)
    return encoder_cost(backbone, backbone['num_frames'], kept).training / 1e9
