import torch
from torch import Tensor, nn

from tvtsv2_mm.models.layers.cpu.dispatch import is_for_cpu


class Layer(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + is_for_cpu(x)


def test_compiled_code_takes_the_ways_for_cpus_and_exported_files_do_not():
    x = torch.zeros(1)
    assert Layer()(x) == 1
    assert Layer()(x.to('meta')).device.type == 'meta'
    assert torch.compile(Layer(), backend='eager', fullgraph=True)(x) == 1
    assert torch.export.export(Layer(), (x,), strict=False).module()(x) == 0
