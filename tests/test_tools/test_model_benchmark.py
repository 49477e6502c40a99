import importlib
import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tvtsv2_mm.models.cost import encoder_cost

FOLDER = Path(__file__).parents[2] / 'tools/benchmarks'
BOUNDS = ['bound', 'products', 'matmul']
SMALL = dict(image_size=32, patch_size=8, width=32, layers=2, heads=2, embed_dim=16, num_frames=3,
             activation='gelu', type='tvtsv2_mm.SpaceTimeViT')
DEVICE = torch.device('cpu')
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


@pytest.fixture
def tool(monkeypatch):
    """A module of the tool, by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def one_thread():
    """On shared cores, threads of such small products wait for each other."""
    before = torch.get_num_threads()
    yield ['--threads', '1']
    torch.set_num_threads(before)


def test_all_figures_are_there(tool, one_thread, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'model.py', *one_thread, '--sizes', 'tiny', '--rounds', '1', '--precisions', 'bf16',
        '--contestants', 'ours', 'einsum', 'einsum_fp32', 'clip', *BOUNDS, 'ours+checkpointing',
        '--out', str(tmp_path / 'all.json')])
    tool('model').main()
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / 'all.json').read_text())
    assert result['what'] == 'encoder-tiny'
    assert result['versions']['torch'] == torch.__version__
    assert result['options']['batch'] == 2
    assert result['machine']['threads'] == 1
    equal = {(row['contestant'], row['precision']): row['largest_difference']
             for row in result['rows'] if row['table'] == 'equality'}
    assert list(equal) == [('ours', 'fp32'), ('ours', 'bf16'), ('einsum', 'bf16')]
    assert 0 < equal['ours', 'fp32'] < 1e-5 < equal['ours', 'bf16']
    rows = {row['contestant']: row for row in result['rows'] if row['table'] == 'encoder'}
    assert list(rows) == ['ours', 'einsum', 'einsum_fp32', 'clip', *BOUNDS, 'ours+checkpointing']
    for name, row in rows.items():
        check_times(rows, name)
        assert (row['size'], row['mask_share'], row['num_clips']) == ('tiny', 0.5, 2)
        assert ('training_share_matmul' in row) == (name not in [*BOUNDS, 'clip'])
        assert all(isinstance(value, str) or field in result['units']
                   for field, value in row.items())
        if name not in BOUNDS:
            assert row['live_mb'] > 0
            assert row['live_share_einsum'] == pytest.approx(
                row['live_mb'] / rows['einsum']['live_mb'])
    # FLOP of the encoder over those of four products of 1024 x 1024 matrices and their gradients.
    setting = tool('encoders').make_setting(
        Namespace(layers=None, batch=2, device='cpu'), 'tiny', 0.5)
    assert (rows['ours']['training_share_matmul'] * rows['ours']['training_x_matmul_median']
            == pytest.approx(2 * encoder_cost(setting.backbone, 8, 8).training / (24 * 1024**3)))
    assert rows['ours+checkpointing']['live_mb'] < 0.5 * rows['ours']['live_mb']
    assert result['units']['training_x_bound'] == 'times the other'
    assert '| ours, bf16 |' in printed
    assert str(tmp_path / 'all.json') in printed


def check_times(rows, name):
    for kind in ('forward', 'training'):
        for other in rows.keys() - {name}:
            for end in ('', '_median', '_cpu'):
                own, theirs = (rows[one][f'{kind}{end}_seconds'] for one in (name, other))
                if other in BOUNDS:
                    assert rows[name][f'{kind}_x_{other}{end}'] == pytest.approx(own / theirs)
                else:
                    assert rows[name][f'{kind}_speedup_{other}{end}'] == pytest.approx(theirs / own)


def test_bytes_are_the_same_twice(tool):
    measures, model = tool('measures'), tool('encoders')
    batch = measures.Batch(torch.randn(3, 3, 3, 32, 32), torch.tensor([[0, 3], [1, 2], [4, 15]]))
    encoder = model.Encoder(
        model.build_ours(SMALL | dict(token_output='all_normed'), DEVICE), 'bf16')
    first, second = (measures.live_bytes(encoder.forward, batch) for _ in range(2))
    assert first == second
    assert first[0] > 0


def test_clip_is_the_size_of_ours_with_torchs_attention(tool):
    model = tool('encoders')
    encoder = model.build_clip(SMALL, DEVICE, 'fp32')
    assert encoder.module.config._attn_implementation == 'sdpa'
    batch = tool('measures').Batch(torch.randn(2, 3, 3, 32, 32), None)
    assert encoder.forward(batch)[0].shape == (2 * 3, 16)


def build_both(tool, token_output):
    torch.manual_seed(0)
    model, backbone = tool('encoders'), SMALL | dict(token_output=token_output)
    ours, einsum = model.build_ours(backbone, DEVICE), model.EinsumEncoder(backbone)
    einsum.load_state_dict(ours.state_dict())
    return ours, einsum


def test_flop_are_those_that_torch_counts(tool):
    cost = encoder_cost(SMALL | dict(token_output='patches_raw'), 3, 16)
    _, encoder = build_both(tool, 'patches_raw')
    with FlopCounterMode(display=False) as counted:
        outputs = encoder(torch.randn(1, 3, 3, 32, 32), None)
    assert counted.get_total_flops() == cost.forward
    with FlopCounterMode(display=False) as counted:
        torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
    assert counted.get_total_flops() == cost.training - cost.forward


@pytest.mark.parametrize('multiply', [torch.mm, lambda left, right, out: left @ right])
def test_the_bounds_multiply_all_that_the_linear_layers_do(tool, multiply):
    model = tool('encoders')
    backbone = SMALL | dict(token_output='patches_raw')
    steps = model.bound_steps(model.linear_layers(backbone, 3, 5, 2), DEVICE, 'fp32', multiply)
    cost = encoder_cost(backbone, 3, 5)
    for kind, flop in dict(forward=cost.linear_forward, training=cost.linear_training).items():
        with FlopCounterMode(display=False) as counted:
            steps[kind]()
        # Linear layers of a clip twice, but for rows of matrices that are of both.
        assert counted.get_total_flops() == 2 * flop


@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
@pytest.mark.parametrize('spoiled', ['temporal_embedding', 'resblocks.1.timeattn.qkv.bias'])
def test_a_difference_is_found(tool, token_output, spoiled):
    measures, model = tool('measures'), tool('encoders')
    batch = measures.Batch(torch.randn(2, 3, 3, 32, 32), torch.tensor([[0, 3, 9], [1, 2, 15]]))
    ours, einsum = build_both(tool, token_output)
    rows = model.check_equality(ours, einsum, batch, ['fp32'])
    assert [row['contestant'] for row in rows] == ['ours']
    with torch.no_grad():
        # The last entries: values, not keys, whose bias changes nothing.
        einsum.get_parameter(spoiled).view(-1)[-16:] += 0.01
    with pytest.raises(ValueError, match='not equal to the plain form'):
        model.check_equality(ours, einsum, batch, ['fp32'])


def test_the_largest_difference(tool):
    largest_difference = tool('measures').largest_difference
    expected = dict(loss=torch.tensor([4.0]), tokens=torch.tensor([1.0, 10.0]))
    assert largest_difference(dict(loss=torch.tensor([3.0]), tokens=torch.tensor([0.0, 10.0])),
                              expected) == ('loss', 0.25)
    name, difference = largest_difference(
        dict(loss=torch.tensor([3.0]), tokens=torch.tensor([float('nan'), 10.0])), expected)
    assert name == 'tokens'
    assert difference != difference
    with pytest.raises(KeyError, match='loss'):
        largest_difference({}, dict(loss=torch.ones(1)))


@pytest.mark.parametrize(('options', 'message'), [
    ((), 'not equal to the plain form'),
    (('--masks', '1'), '--masks 1.0 keeps 0 of 16'),
    (('--masks', '-1'), '--masks -1.0 keeps 32 of 16'),
])
def test_the_tool_ends_with_an_error(tool, monkeypatch, options, message):
    monkeypatch.setattr(tool('encoders'), 'TOLERANCE', dict(cpu=0.0))
    monkeypatch.setattr(sys, 'argv', ['model.py', '--sizes', 'tiny', *options])
    with pytest.raises(SystemExit, match=message):
        tool('model').main()


def test_live_bytes_are_those_of_a_clip_and_those_of_all(tool):
    measures = tool('measures')
    weight = torch.nn.Parameter(torch.randn(4))

    def forward(batch):
        y = (batch.video * weight).exp()
        return [y[:, :5] * y[:, 5:] + weight.exp().sum()]

    # Of a clip y, 10 x 4, and the output, 5 x 4; whatever the clips exp(weight); neither the video
    # nor the weight itself.
    batch = measures.Batch(torch.randn(3, 10, 4), None)
    assert measures.live_bytes(forward, batch) == (240, 16)


def test_live_bytes_see_what_checkpointing_keeps(tool):
    measures = tool('measures')
    weight = torch.nn.Parameter(torch.randn(4))

    def forward(batch):
        x = (batch.video * weight).exp()
        return [torch.utils.checkpoint.checkpoint(
            lambda x: x.sin().cos().sum(), x * 2, use_reentrant=False)]

    # exp(video * weight), and the input of the part that is computed again.
    batch = measures.Batch(torch.randn(3, 10, 4), None)
    assert measures.live_bytes(forward, batch)[0] == 320


@pytest.mark.parametrize('error', [
    torch.OutOfMemoryError('CUDA out of memory'), RuntimeError('No available kernel')])
def test_a_step_that_does_not_fit_is_left_out(tool, capsys, error):
    calls = []

    def fail():
        calls.append('fails')
        raise error

    seconds = tool('measures').measure_seconds(
        dict(fails=fail, fits=lambda: calls.append('fits')), 2)
    assert list(seconds) == ['fits']
    assert f'left out: fails: {error}' in capsys.readouterr().err
    assert list(seconds['fits']) == ['', '_median', '_cpu']
    assert calls == ['fails', 'fits', 'fits', 'fits']


def test_the_peak_of_a_call(tool):
    # Freed memory would hide it.
    torch.zeros(30_000_000).sum()
    assert 75 < tool('measures').peak_megabytes(lambda: torch.ones(20_000_000).sum()) < 100


def test_a_field_with_a_number_tells_its_unit(tool):
    results = tool('results')
    assert results.units([dict(contestant='ours', training_median_seconds=1.0), dict(live_mb=2)]) \
        == dict(training_median_seconds='s', live_mb='MB')
    with pytest.raises(ValueError, match='the name of height says no unit'):
        results.units([dict(height=1)])
