"""Watches, while a model is trained, what it could do before."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn

from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.engine.hooks._encode_texts import encode_texts
from tvtsv2_mm.engine.hooks._probe_set import annotation_file, test_on
from tvtsv2_mm.models import VideoTextModel
from tvtsv2_mm.registry import HOOKS, MODELS
from tvtsv2_mm.utils.randomness import generators_kept
from tvtsv2_mm.utils.text_files import read_names

DRIFT, ZERO_SHOT = 'out_of_the_box/text_drift', 'out_of_the_box/zero_shot'
_KEY = 'out_of_the_box'
_DEFAULT_TEXTS = Path(__file__).with_name('probe_texts.txt')


@HOOKS.register_module()
class OutOfTheBoxMonitorHook(Hook):
    """Measure how far a training takes a model from what it could do out of the box, and warn.

    At the start, every ``interval`` iterations, with each validation and at the end:

    - ``out_of_the_box/text_drift``: 1 - cosine between the embedding of a text by the text encoder
      as it is and as it was at the start, in the mean over a fixed list of texts. 0 where nothing
      moved, 1 where nothing is left. It is computed as half the squared distance of the normalised
      embeddings, which is the same, and exact near 0. A text encoder that starts from random
      weights has nothing to lose: of it there is no drift.
    - ``out_of_the_box/zero_shot``, where there is a probe set: the evaluator's first figure, such
      as acc/top1 in per cent.

    Both go to the log and the visualizer, and into the metrics of each validation, where
    CheckpointHook (``save_best='out_of_the_box/zero_shot', rule='greater'``) and EarlyStoppingHook
    find them. They are of the weights that a checkpoint has for use: averaged by EMAHook, with the
    adapters (LoRA), without autocast. Training goes on as if nothing had been measured.

    What is kept of the start are the embeddings of the texts. They go with the run's checkpoints,
    so that one that resumes is compared with the same start, and with the same texts.

    Args:
        interval: iterations between two measurements.
        texts: a text file, one a line, or a list. None for ours, 48 of four kinds: labels,
            captions, questions, requests.
        max_text_drift: warn above it. None for 1 - cosine between a text and the nearest other one
            at the start, in the mean over the texts: farther from where it was than another text
            was from there. Most of a drift is common to all texts and harms nothing: half of the
            distance warns where nothing is lost (docs/study.md).
        max_zero_shot_fall: warn where the figure is so much below the one at the start. With 100
            videos of which one in twenty is told otherwise by chance, two standard errors are 4.5.
        dataloader: of the probe set, as a config's ``test_dataloader``; it is not to be trained on.
            None, or no ``ann_file`` in it, watches the text encoder alone.
        evaluator: as a config's ``test_evaluator``.
        cls_head: a ZeroShotHead; None for retrieval.
        benchmark: what the probe set is called.
        context_length: tokens of a text.
        tokenizer: 'clip', or a folder with ``tokenizer.json``, as in TokenizeText.

    Raises:
        ValueError: an option is none; the model is no VideoTextModel with a text encoder; the run
            goes on from one with other texts; the best checkpoint is kept by a figure that is not
            measured.
        FileNotFoundError: there is no such file of texts, or of annotations.
    """

    # After EMAHook has averaged, and before CheckpointHook looks for the best.
    priority = 'LOW'

    def __init__(self, *, interval: int = 200, texts: Sequence[str] | str | None = None,
                 max_text_drift: float | None = None, max_zero_shot_fall: float = 5.0,
                 dataloader: dict | None = None, evaluator: dict | list | None = None,
                 cls_head: dict | None = None, benchmark: str = '', context_length: int = 77,
                 tokenizer: str = 'clip') -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1 iteration, not {interval}')
        self.interval = interval
        source = _DEFAULT_TEXTS if texts is None else texts
        self.texts = read_names(source) if isinstance(source, str | Path) else list(source)
        if len(self.texts) < 2 or not all(isinstance(text, str) for text in self.texts):
            raise ValueError(f'texts: two texts or more are needed, not {self.texts!r:.80}')
        self.max_text_drift = max_text_drift
        self.max_zero_shot_fall = max_zero_shot_fall
        if dataloader is not None and 'ann_file' not in (dataloader.get('dataset') or {}):
            raise ValueError('dataloader.dataset.ann_file: the annotations of the probe set are '
                             'needed here; dataloader=None does without a probe set')
        probes = dataloader is not None and bool(dataloader['dataset']['ann_file'])
        if probes and not evaluator:
            raise ValueError("the probe set needs an evaluator, such as dict(type='TopKAccuracy', "
                             'topk=(1, ))')
        self.dataloader = dataloader if probes else None
        self.evaluator = evaluator or []
        self.cls_head = cls_head
        self.benchmark = benchmark
        self.context_length = context_length
        self.tokenizer = tokenizer
        self._head: nn.Module | None = None
        self._trains = False
        self._start: dict[str, Any] = {}
        self._over: set[str] = set()
        self._found: tuple[int, dict[str, float]] = (-1, {})

    def before_train(self, runner: Runner) -> None:
        """Measure the start, or take it from the run that this one goes on from."""
        model = bare_model(runner)
        if not isinstance(model, VideoTextModel) or model.neck is None:
            raise ValueError(
                'OutOfTheBoxMonitorHook watches the text encoder of a VideoTextModel, and this '
                f'{type(model).__name__} has none: leave it out '
                '(default_hooks.out_of_the_box=None); ZeroShotCheckHook tests a recognizer')
        self._check_probe_set(runner)
        with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
            if self.dataloader is not None and self.cls_head is not None:
                self._head = MODELS.build(self.cls_head)
        self._trains = True
        if runner.iter:
            self._start = self._start_of_before(runner)
            return
        watched = not _is_random(runner, model)
        if not watched:
            runner.logger.info('the drift of the text encoder is not watched: it starts from '
                               'random weights')
        with self._undisturbed(runner):
            self._start = dict(texts=self.texts, embeds=self._encode(model) if watched else None)
        found = self._measure(runner)
        self._start['zero_shot'] = found.get(ZERO_SHOT)
        runner.message_hub.update_info(_KEY, self._start)
        self._tell(runner, 0, found)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Measure where it is due."""
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
            self._tell(runner, runner.iter + 1, self._measure(runner))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Add what was found to the metrics that the hooks behind this one see."""
        if not self._trains or metrics is None:
            return
        if self._found[0] != runner.iter:
            self._tell(runner, runner.iter, self._measure(runner))
        metrics.update(self._found[1])

    def after_train(self, runner: Runner) -> None:
        """What is validated from here on is no training."""
        self._trains = False

    def _check_probe_set(self, runner: Runner) -> None:
        if self.dataloader is None:
            for hook in runner.hooks:
                wanted = getattr(hook, 'save_best', None) or getattr(hook, 'monitor', None) or ()
                if ZERO_SHOT in wanted:
                    raise ValueError(f'{type(hook).__name__} looks at {ZERO_SHOT}, which is not '
                                     'measured: give OutOfTheBoxMonitorHook a probe set '
                                     '(dataloader, evaluator, cls_head)')
            return
        file = annotation_file(self.dataloader)
        if not file.is_file():
            raise FileNotFoundError(
                f'OutOfTheBoxMonitorHook.dataloader.dataset.ann_file: there is no {file}; '
                'ann_file=None watches the text encoder alone')

    def _start_of_before(self, runner: Runner) -> dict[str, Any]:
        """What the checkpoint that the run goes on from tells of the start."""
        kept = runner.message_hub.get_info(_KEY)
        kept = kept if isinstance(kept, dict) else {}
        embeds, figure = kept.get('embeds'), kept.get('zero_shot')
        if 'texts' not in kept:
            runner.logger.warning('what the model loses out of the box is not known: the run goes '
                                  'on from one that was not watched')
        elif kept['texts'] != self.texts:
            raise ValueError('OutOfTheBoxMonitorHook.texts: the run goes on from one that was '
                             'watched by other texts; give the same ones')
        shape = len(self.texts), bare_model(runner).neck.embed_dim
        known = (isinstance(embeds, Tensor) and embeds.is_floating_point()
                 and embeds.shape == shape)
        return dict(embeds=embeds if known else None,
                    zero_shot=figure if isinstance(figure, float) else None)

    def _measure(self, runner: Runner) -> dict[str, float]:
        """What is found now; for all ranks to call."""
        model, found = bare_model(runner), {}
        with self._undisturbed(runner):
            if self._start['embeds'] is not None:
                moved = self._encode(model).double() - self._start['embeds'].double()
                found[DRIFT] = moved.square().sum(dim=-1).mean().item() / 2
            if self.dataloader is not None:
                metrics = test_on(runner, model, self.dataloader, self.evaluator)
                found[ZERO_SHOT] = next(iter(metrics.values()))
        told = [found]
        broadcast_object_list(told)  # all ranks write the best weights, or none
        return told[0]

    def _encode(self, model: VideoTextModel) -> Tensor:
        """(N, E) embeddings of the texts, l2-normalised."""
        return encode_texts(model, self.texts, tokenizer=self.tokenizer,
                            context_length=self.context_length,
                            option='OutOfTheBoxMonitorHook.tokenizer')[0]

    def _tell(self, runner: Runner, step: int, found: dict[str, float]) -> None:
        self._found = step, found
        if not found:
            return
        runner.visualizer.add_scalars(found, step=step, file_path=f'{runner.timestamp}.json')
        figure = f'zero-shot on {self.benchmark}' if self.benchmark else 'zero-shot'
        start, words = self._start['zero_shot'], []
        if DRIFT in found:
            limit = (self.max_text_drift if self.max_text_drift is not None else
                     _room(self._start['embeds']))
            words.append(f'text drift {found[DRIFT]:.4f}')
            self._warn(runner, DRIFT, not found[DRIFT] <= limit,
                       f'texts are no longer where the text encoder had them: drift '
                       f'{found[DRIFT]:.4f}, more than {limit:.4f}. Freeze more of it '
                       '(model.neck.frozen_layers, model.neck.freeze_embeddings=True), or lower '
                       'its rate (optim_wrapper.paramwise_cfg.lr_mult.neck=0.1)')
        if ZERO_SHOT in found:
            words.append(f'{figure} {found[ZERO_SHOT]:.2f}'
                         + (f' ({start:.2f} at the start)' if step and start is not None else ''))
            self._warn(runner, ZERO_SHOT, start is not None
                       and not found[ZERO_SHOT] >= start - self.max_zero_shot_fall,
                       f'{figure} fell from {start} to {found[ZERO_SHOT]}, by more than '
                       f'{self.max_zero_shot_fall}. Freeze more layers, lower the rate '
                       '(optim_wrapper.optimizer.lr), or take weights in between '
                       '(tools/interpolate_weights.py)')
        runner.logger.info(f'out of the box, iteration {step}: {", ".join(words)}')

    def _warn(self, runner: Runner, name: str, over: bool, words: str) -> None:
        """Warn where a limit is crossed, and not again until it was kept in between."""
        if over and name not in self._over:
            runner.logger.warning(words)
        (self._over.add if over else self._over.discard)(name)

    @contextmanager
    def _undisturbed(self, runner: Runner) -> Generator[None]:
        """The model in evaluation, averaged, with the head of the probe set; after it as before."""
        model = bare_model(runner)
        modes = [(module, module.training) for module in model.modules()]
        averages = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
        own, learnt = model.cls_head, model.has_learnt
        with (generators_kept(device=True), DefaultScope.overwrite_default_scope('tvtsv2_mm')):
            for hook in averages:
                hook.before_val_epoch(runner)
            try:
                # What is random at the start is tested all the same.
                model.cls_head, model.has_learnt = self._head, True
                model.eval()
                yield
            finally:
                model.cls_head, model.has_learnt = own, learnt
                for module, mode in modes:
                    module.training = mode
                for hook in reversed(averages):
                    hook.after_val_epoch(runner)


def _is_random(runner: Runner, model: VideoTextModel) -> bool:
    """Whether the text encoder has weights of nobody."""
    report = model.load_report or getattr(model.neck, 'load_report', None)
    if report is None:  # a checkpoint in shards leaves none
        return not runner.cfg.get('load_from')
    return any(name.startswith('neck.') for name in report.get('new', ()))


def _room(embeds: Tensor) -> float:
    """How far away the nearest other text is, as 1 - cosine, in the mean over texts (N, E)."""
    cosines = embeds.double() @ embeds.double().T
    cosines.fill_diagonal_(-1)
    return (1 - cosines.amax(dim=1)).mean().item()
