"""Tells how many texts are longer than the context: the model read their beginning alone."""

from typing import Any

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.registry import HOOKS


@HOOKS.register_module()
class CutTextHook(Hook):
    """Count the texts that were cut, over all ranks, and log one line where there are any.

    In validation and test each sample counts once, though padding gives some of them to several
    ranks; in training as often as it was drawn. Prompts and QB-Norm's bank count as well.

    ResultFileHook finds the counts of a test as ``texts`` of the message hub.
    """

    # After the last batch is counted, before the result file.
    priority = 'LOW'

    def __init__(self) -> None:
        # Of a loop: of each sample, or in training of all of them together, texts and cut ones.
        self._counts: dict[str, dict[Any, tuple[int, int]]] = {}

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._counts[mode] = {}

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                    outputs: Any = None, mode: str = 'train') -> None:
        counts = self._counts[mode]
        for sample in (data_batch or {}).get('data_samples') or []:
            num_cut = sample.get('num_cut_texts')
            if num_cut is None:
                continue
            if mode == 'train':
                number, cut = counts.get(None, (0, 0))
                counts[None] = number + len(sample.texts), cut + num_cut
            else:
                place = sample.get('sample_id'), sample.get('sample_idx')
                counts[place] = len(sample.texts), num_cut

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        parts = all_gather_object(self._counts.pop(mode))
        if not is_main_process():
            return
        # A sample that several ranks had is one; in training each part is its own.
        counts = list({(place, mode == 'train' and rank): count for rank, part in enumerate(parts)
                       for place, count in part.items()}.values())
        texts = {'texts': counts, **({} if mode == 'train' else self._others(runner, mode))}
        told = {name: dict(number=sum(number for number, _ in own), cut=sum(cut for _, cut in own))
                for name, own in texts.items() if own}
        if mode == 'test':
            runner.message_hub.update_info('texts', told, resumed=False)
        lines = [f'{own["cut"]} of {own["number"]} {name}' for name, own in told.items()
                 if own['cut']]
        if lines:
            runner.logger.warning(f'{mode}: {", ".join(lines)} are longer than the context '
                                  '(context_length): their ends are cut off')

    @staticmethod
    def _others(runner: Runner, mode: str) -> dict[str, list[tuple[int, int]]]:
        """Texts that are not of the samples."""
        model = bare_model(runner)
        head: Any = getattr(model, 'cls_head', None)
        loop = runner.test_loop if mode == 'test' else runner.val_loop
        return {
            'prompts': [(len(head.classes) * len(head.prompts), head.num_cut_prompts)]
            if hasattr(head, 'num_cut_prompts') else [],
            'query bank texts': [
                (len(metric.bank_texts), metric.num_cut_bank_texts)
                for metric in loop.evaluator.metrics
                if getattr(metric, 'bank_texts', None) is not None]}
