"""What random_config.py is made of."""

import torch
from mmaction.structures import ActionDataSample
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook

from tvtsv2_mm.registry import DATASETS, HOOKS


@DATASETS.register_module()
class RandomClipsOfStrategyTest(BaseDataset):
    """Clips of noise with K texts of noise, the same for the same index."""

    def __init__(self, size, texts, seed=0):
        self.size, self.texts, self.seed = size, texts, seed
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [dict(number=i) for i in range(self.size)]

    def __getitem__(self, index):
        random = torch.Generator().manual_seed(1000 * self.seed + int(index))
        tokens = torch.randint(1, 60, (self.texts, 12), generator=random)
        tokens[:, 8], tokens[:, 9:] = 63, 0
        inputs = dict(
            video=torch.randint(256, (6, 3, 32, 32), generator=random, dtype=torch.uint8),
            tokens=tokens,
            kept_patches=torch.randperm(16, generator=random)[:5].sort().values)
        return dict(inputs=inputs, data_samples=ActionDataSample(
            metainfo=dict(sample_id=str(int(index)), filename=str(int(index)))))


@HOOKS.register_module()
class LossesOfStrategyTest(Hook):
    """Writes down the losses of each step, and the embeddings of evaluated clips."""

    def __init__(self):
        self.losses, self.validated = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({key: value.item() for key, value in outputs.items()})

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.validated += [sample.video_embed.cpu() for sample in outputs]

    after_test_iter = after_val_iter
