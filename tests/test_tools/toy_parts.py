"""A model, a data set and a metric of a few numbers, for tests of the tools."""

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset

from tvtsv2_mm.registry import DATASETS, METRICS, MODELS


@MODELS.register_module()
class ToyModel(BaseModel):
    """Fits y = 2 x."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs: Tensor, target: Tensor, mode: str = 'tensor'):
        output = self.linear(inputs)
        if mode == 'loss':
            return dict(loss=(output.float() - target).square().mean())
        return list(output.float())


@DATASETS.register_module()
class ToyDataset(Dataset):
    def __init__(self, size: int = 8):
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        x = torch.tensor([index / 8])
        return dict(inputs=x, target=2 * x)


@METRICS.register_module()
class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(float(sample) for sample in data_samples)

    def compute_metrics(self, results):
        return dict(count=len(results))
