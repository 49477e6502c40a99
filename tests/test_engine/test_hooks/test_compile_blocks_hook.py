import copy
import logging
import shutil
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tvtsv2_mm.engine.hooks import CompileBlocksHook
from tvtsv2_mm.models import SpaceTimeViT

SIZES = dict(image_size=32, patch_size=8, width=48, layers=3, heads=3, embed_dim=16, num_frames=4)
needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason='torch was built without oneDNN')

# Of bfloat16: for GPUs compiled code multiplies with a factor, and then rounds once more.
ROUNDING = 2**-6


def runner_of(model: nn.Module) -> SimpleNamespace:
    return SimpleNamespace(model=model, logger=logging.getLogger('test'))


def outputs_and_gradients(model: SpaceTimeViT, batch: int, **kwargs) -> list[torch.Tensor]:
    torch.manual_seed(batch)
    outputs = [out for out in model(torch.randn(batch, 4, 3, 32, 32), **kwargs) if out is not None]
    loss = sum((out.float() * torch.randn(out.shape)).sum() for out in outputs)
    gradients = torch.autograd.grad(loss, model.parameters()) if loss.requires_grad else []
    return [out.float() for out in [*outputs, *gradients]]


def check_equal(model: SpaceTimeViT, compiled: SpaceTimeViT, tolerance: float, *args,
                **kwargs) -> None:
    for own, expected in zip(outputs_and_gradients(compiled, *args, **kwargs),
                             outputs_and_gradients(model, *args, **kwargs), strict=True):
        torch.testing.assert_close(
            own, expected, rtol=0, atol=tolerance * max(1, expected.abs().max().item()))


@pytest.fixture
def models():
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = SpaceTimeViT(**SIZES, time_init='proj')
    return model, copy.deepcopy(model)


@pytest.mark.slow
def test_no_graph_breaks(models):
    """Training and test, in float32 and under autocast, with tokens and without, any batch.

    ``fullgraph=True`` makes an error of a break; the graphs are traced, but not turned into code.
    """
    model, compiled = models
    CompileBlocksHook(backend='aot_eager', fullgraph=True).before_run(runner_of(compiled))
    for class_only in (False, True):
        check_equal(model, compiled, 1e-5, 2, class_only=class_only)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            check_equal(model, compiled, 1e-6, 2, class_only=class_only)
    with torch.no_grad():
        for batch in (2, 3):
            check_equal(model.eval(), compiled.eval(), 1e-6, batch)


@pytest.mark.slow
def test_no_graph_breaks_on_the_way_of_gpus(models, monkeypatch):
    """What a GPU computes, traced on a CPU: plain products, scaled_dot_product_attention."""
    monkeypatch.setattr('tvtsv2_mm.models.layers.cpu.dispatch._is_exporting', lambda: True)
    model, compiled = models
    CompileBlocksHook(backend='aot_eager', fullgraph=True).before_run(runner_of(compiled))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        for class_only in (False, True):
            check_equal(model, compiled, ROUNDING, 2, class_only=class_only)


@pytest.mark.parametrize('products', [
    pytest.param('onednn', marks=needs_onednn), 'half'])
def test_steps_compile_nothing_anew(models, monkeypatch, products):
    """Tokens and class tokens alone take a graph each; the second size brings one for any size.

    The first size goes on with its own graph, or with the second where that takes it too. A mask
    of another ratio is one graph more, whatever ratios follow. Products are oneDNN's (float32 on
    AMD's CPUs with AVX-512) or torch's own, which half precision takes.
    """
    monkeypatch.setattr('tvtsv2_mm.models.layers.cpu.products._is_amd_with_avx512',
                        lambda: products == 'onednn')
    graphs, ran = [], []

    def backend(graph: torch.fx.GraphModule, _: list) -> Callable:
        number = len(graphs)
        graphs.append(graph)
        return lambda *args: ran.append(number) or graph.forward(*args)

    def step(batch: int, class_only: bool = False, patches: int = 8) -> list[int]:
        ran.clear()
        kept = torch.rand(batch, 16).argsort(dim=1)[:, :patches]
        with torch.autocast('cpu', dtype=torch.float16, enabled=products == 'half'):
            model(torch.randn(batch, 4, 3, 32, 32), kept, class_only)
        return ran[:]

    _, model = models
    CompileBlocksHook(backend=backend).before_run(runner_of(model))
    full = [step(4), step(4, True)]
    assert full == [[0, 0, 0], [0, 0, 1]]
    assert [step(3), step(3, True)] == [[2, 2, 2], [2, 2, 3]]
    for batch in (2, 5, 16):
        assert [step(batch), step(batch, True)] == [[2, 2, 2], [2, 2, 3]]
    assert [step(4), step(4, True)] in (full, [[2, 2, 2], [2, 2, 3]])
    assert [step(batch, patches=patches) for batch, patches in ((5, 6), (3, 12), (2, 4))] == [
        [4, 4, 4]] * 3
    assert len(graphs) == 5


def test_a_copy_runs_its_own_weights(models):
    model, compiled = models
    CompileBlocksHook(backend='eager').before_run(runner_of(compiled))
    video = torch.randn(1, 4, 3, 32, 32)
    with torch.no_grad():
        other = copy.deepcopy(compiled)  # as EMA takes one
        for parameter in compiled.resblocks.parameters():
            parameter.zero_()
        assert torch.equal(other(video)[0], model(video)[0])
        assert not torch.equal(compiled(video)[0], model(video)[0])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='no compiler: g++')
def test_compiled_code(models):
    model, compiled = models
    names = list(compiled.state_dict())
    hook = CompileBlocksHook()
    hook.before_run(runner_of(compiled))
    first = [block.forward for block in compiled.resblocks]
    check_equal(model, compiled, 1e-5, 2)
    # Training and then testing compiles once; the parameters have their names.
    hook.before_run(runner_of(compiled))
    assert all(a is b.forward for a, b in zip(first, compiled.resblocks, strict=True))
    assert list(compiled.state_dict()) == names


def test_a_model_without_blocks():
    with pytest.raises(ValueError, match='leave compile out'):
        CompileBlocksHook().before_run(runner_of(nn.Linear(1, 1)))


def test_an_option_that_torch_compile_does_not_have():
    with pytest.raises(ValueError, match=r'compile\.modes: .* did you mean mode\?'):
        CompileBlocksHook(modes='max-autotune')
