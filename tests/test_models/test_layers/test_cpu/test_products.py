import shutil
import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tvtsv2_mm.models.layers.cpu import products
from tvtsv2_mm.models.layers.cpu.products import product

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason='torch was built without oneDNN')


@pytest.fixture(params=[
    pytest.param(True, marks=needs_onednn, id='onednn'), pytest.param(False, id='torch')])
def is_amd(request, monkeypatch):
    """What the CPU seems to be decides which library multiplies float32."""
    monkeypatch.setattr(products, '_is_amd_with_avx512', lambda: request.param)
    return request.param


@pytest.mark.parametrize(('dtype', 'tolerance'), [
    (torch.float32, 1e-5), (torch.bfloat16, 0.06), (torch.float64, 1e-12)])
@pytest.mark.parametrize('scale', [1.0, 1.702])
@pytest.mark.parametrize('rows', [0, 1, 5, 50])
def test_equals_plain(is_amd, dtype, tolerance, scale, rows):
    torch.manual_seed(0)
    a, b, bias = (torch.randn(shape).to(dtype) for shape in ((rows, 8), (8, 12), (12,)))
    expected = scale * (a.double() @ b.double())
    for left in (a, a.t().contiguous().t()):
        for right in (b, b.t().contiguous().t()):
            out = product(left, right, scale=scale)
            assert out.dtype == dtype
            torch.testing.assert_close(
                out.double(), expected, atol=tolerance, rtol=tolerance)
            out = product(left, right, bias, scale=scale)
            torch.testing.assert_close(
                out.double(), expected + bias.double(), atol=tolerance, rtol=tolerance)


def test_compiled_code_gives_addmm_no_factors(monkeypatch):
    """On a GPU inductor takes it apart, and loses them or computes with what beta=0 leaves out."""
    monkeypatch.setattr('tvtsv2_mm.models.layers.cpu.dispatch._is_exporting', lambda: True)
    torch.manual_seed(0)
    a, b, bias = torch.randn(5, 8), torch.randn(8, 12), torch.randn(12)
    for own, scale in ((None, 1.702), (bias, 1.702), (bias, 1.0)):
        graphs = []
        torch._dynamo.reset()  # of what other tests have compiled
        with torch._dynamo.config.patch(specialize_float=True):
            # A function of our own: product itself may be marked as not to be compiled.
            compiled = torch.compile(lambda *given: product(*given), fullgraph=True, backend=(
                lambda graph, _, graphs=graphs: graphs.append(graph) or graph.forward))
            torch.testing.assert_close(
                compiled(a, b, own, scale), product(a, b, own, scale))
        nodes = [node for node in graphs[0].graph.nodes if node.target is torch.addmm]
        assert len(nodes) == (scale == 1)


def test_operands_stay(is_amd):
    a, b, bias = torch.randn(5, 8), torch.randn(8, 12), torch.randn(12)
    copies = a.clone(), b.clone(), bias.clone()
    product(a, b, bias, scale=3)
    product(a, b, scale=3)
    assert all(map(torch.equal, (a, b, bias), copies))


def calls(monkeypatch, *args, **kwargs) -> int:
    """How often a product goes to oneDNN's operator."""
    found = []
    own = products._onednn_product
    monkeypatch.setattr(
        products, '_onednn_product', lambda *args: found.append(args) or own(*args))
    product(*args, **kwargs)
    return len(found)


def test_float32_goes_to_onednn_on_amd(is_amd, monkeypatch):
    a = torch.randn(4, 4)
    assert calls(monkeypatch, a, a) == calls(monkeypatch, a, a, a[0]) == is_amd
    assert calls(monkeypatch, a.double(), a.double()) == 0


@needs_onednn
def test_user_can_switch_onednn_off(monkeypatch):
    monkeypatch.setattr(products, '_is_amd_with_avx512', lambda: True)
    a = torch.randn(4, 4)
    with torch.backends.mkldnn.flags(enabled=False):
        assert calls(monkeypatch, a, a) == 0


@pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason='no bfloat16 in oneDNN on this CPU')
def test_bfloat16_goes_to_onednn_with_a_bias(monkeypatch):
    a = torch.randn(4, 4).bfloat16()
    assert calls(monkeypatch, a, a, a[0]) == 1
    assert calls(monkeypatch, a, a) == 0


def test_flop_are_counted(is_amd):
    with FlopCounterMode(display=False) as counted:
        product(torch.randn(5, 8), torch.randn(8, 12), torch.randn(12))
    assert counted.get_total_flops() == 2 * 5 * 8 * 12


@needs_onednn
@pytest.mark.skipif(shutil.which('g++') is None, reason='no compiler: g++')
def test_compiled_code_multiplies_alike(monkeypatch):
    monkeypatch.setattr(products, '_is_amd_with_avx512', lambda: True)
    torch._dynamo.reset()
    a, b, bias = torch.randn(5, 8), torch.randn(8, 12), torch.randn(12)
    compiled = torch.compile(lambda *args: product(*args).relu(), fullgraph=True)
    torch.testing.assert_close(compiled(a, b, bias, 2.0), (2 * a @ b + bias).relu())


def test_exported_files_have_plain_operations(is_amd):
    class Layer(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return product(a, b)

    exported = torch.export.export(Layer(), (torch.randn(5, 8), torch.randn(8, 12)))
    assert [node.target for node in exported.graph.nodes if node.op == 'call_function'] == [
        torch.ops.aten.matmul.default]


def test_the_slowdown_of_a_dtype(monkeypatch):
    monkeypatch.setattr(products, 'product', lambda a, b: time.sleep(
        0.02 if a.dtype == torch.bfloat16 else 0.005))
    assert 2 < products.slowdown(torch.bfloat16) < 6
    assert 0.5 < products.slowdown(torch.float16) < 2
