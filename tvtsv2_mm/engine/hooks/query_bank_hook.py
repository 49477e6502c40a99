"""Encodes the query bank of QB-Norm before a test."""

from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvtsv2_mm.datasets.annotations import load_captions
from tvtsv2_mm.engine.hooks._bare_model import bare_model
from tvtsv2_mm.engine.hooks._encode_texts import encode_texts
from tvtsv2_mm.registry import HOOKS


@HOOKS.register_module()
class QueryBankHook(Hook):
    """Encode the captions, and on request the videos, of each RetrievalMetric's ``query_bank``.

    A metric without ``query_bank`` is left alone. The texts of the bank are the queries that tell
    hubs among videos (text to video); its videos tell hubs among texts (video to text), at the
    price of decoding them.

    Args:
        context_length: tokens of a text.
        tokenizer: 'clip', or a folder with ``tokenizer.json``, as in TokenizeText.
        batch_size: texts encoded at once.
        max_texts: texts of the bank, the first ones in the file; None takes all.
        video_dataloader: loader of the bank's videos (a CaptionVideoDataset in test mode), for
            ``qb/v2t``.
    """

    # After EMAHook has put the averaged weights in: bank and test set are encoded by the same ones.
    priority = 'LOW'

    def __init__(self, *, context_length: int = 77, tokenizer: str = 'clip',
                 batch_size: int = 256, max_texts: int | None = None,
                 video_dataloader: dict | None = None) -> None:
        self.context_length = context_length
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.max_texts = max_texts
        self.video_dataloader = video_dataloader

    @torch.no_grad()
    def before_test_epoch(self, runner: Runner) -> None:
        """Fill ``bank_texts`` and ``bank_videos`` of the metrics.

        Raises:
            FileNotFoundError: there is no such caption file.
        """
        metrics = [metric for metric in runner.test_evaluator.metrics
                   if getattr(metric, 'query_bank', None) is not None]
        if not metrics:
            return
        model = bare_model(runner)
        model.eval()
        videos = self._encode_videos(runner, model)
        for metric in metrics:
            # On every rank: a model in shards needs them all.
            embeds, metric.num_cut_bank_texts = encode_texts(
                model, self._read_texts(metric.query_bank), tokenizer=self.tokenizer,
                context_length=self.context_length, batch_size=self.batch_size,
                option='QueryBankHook.tokenizer')
            if is_main_process():  # which alone computes metrics
                metric.bank_texts = embeds.numpy()
                metric.bank_videos = videos

    def _read_texts(self, path: str) -> list[str]:
        try:
            records = load_captions(path)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{error}. It is the query bank of QB-Norm: captions of training videos; '
                '--cfg-options test_evaluator.query_bank=None does without') from None
        texts = [text for record in records for text in record['captions']]
        return texts[:self.max_texts]

    def _encode_videos(self, runner: Runner, model: Any) -> np.ndarray | None:
        if self.video_dataloader is None:
            return None
        embeds: dict[str, np.ndarray] = {}
        for batch in runner.build_dataloader(self.video_dataloader):
            for sample in model.test_step(batch):
                embeds[sample.sample_id] = sample.video_embed.cpu().numpy()
        parts = all_gather_object(embeds)
        return np.stack(list({name: own for part in parts for name, own in part.items()}.values()))
