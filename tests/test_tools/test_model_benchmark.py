import gc
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

FOLDER = Path(__file__).parents[2] / 'tools/benchmarks'
BOUNDS = ['bound', 'products']
NAMES = ['ours', 'einsum', 'einsum_fp32', 'clip', *BOUNDS]
SMALL = dict(image_size=32, patch_size=8, width=32, layers=2, heads=2, embed_dim=16, num_frames=3,
             activation='gelu')
DEVICE = torch.device('cpu')
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


@pytest.fixture
def tool(monkeypatch):
    """A module of the tool, by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def run(*options):
    # One thread: on shared cores, threads of such small products wait for each other.
    return subprocess.run(
        [sys.executable, str(FOLDER / 'model.py'), '--threads', '1', *map(str, options)],
        capture_output=True, text=True, check=True, timeout=300)


def memory_of(result):
    return {(one['precision'], name, key): value for one in result['runs']
            for name, figures in one['contestants'].items()
            for key, value in figures.get('memory', {}).items() if 'peak' not in key}


def test_all_figures_are_there_and_bytes_are_the_same_twice(tmp_path):
    done = run('--sizes', 'tiny', '--rounds', 1, '--whole-model', '--out', tmp_path / 'all.json')
    result = json.loads((tmp_path / 'all.json').read_text())
    assert result['machine']['packages']['torch'] == torch.__version__
    assert result['settings']['batch'] == 2
    differences = result['equality'][0]['differences']
    assert list(differences) == ['ours_fp32', 'ours_bf16', 'einsum_bf16']
    assert {'embeddings', 'tokens', 'loss', 'gradient of conv1.weight'} < set(
        differences['ours_fp32'])
    for one, precision in zip(result['runs'], ('fp32', 'bf16'), strict=True):
        names = [name for name in NAMES if (name, precision) != ('einsum_fp32', 'fp32')]
        assert one['precision'] == precision
        assert one['tokens'] == 1 + 8 * 8
        assert not one['out_of_memory']
        check_times(one, names, ['forward', 'training'])
        check_memory(one, [name for name in names if name not in BOUNDS])
        for kind in ('forward', 'training'):
            assert all(one['profile'][kind][part] > 0 for part in (
                'linear products', 'attention products', 'norms', 'activations'))
        assert list(one['whole_model']) == [
            name for name in names if name not in ('clip', *BOUNDS)]
        for figures in one['whole_model'].values():
            assert figures['training']['minimum'] > 0
            assert figures['training']['peak_bytes'] > 0
    assert 'tiny, mask 0.5, bf16: 2 clips of 8 frames' in done.stdout
    assert 'x bound' in done.stdout
    assert 'x products' in done.stdout

    run('--sizes', 'tiny', '--rounds', 1, '--precisions', 'bf16', '--contestants', 'ours', 'einsum',
        '--out', tmp_path / 'again.json')
    again = memory_of(json.loads((tmp_path / 'again.json').read_text()))
    assert len(again) == 2 * 6
    assert again.items() <= memory_of(result).items()


def check_times(one, names, kinds):
    timed, cost = one['contestants'], one['flop_per_clip']
    assert list(timed) == names
    for kind in kinds:
        for name in names:
            figures = timed[name][kind]
            assert figures['minimum'] == min(figures['seconds'])
            assert set(figures['ratios']) == set(names) - {name}
            for other, ratio in figures['ratios'].items():
                assert ratio['minimum'] == pytest.approx(
                    figures['minimum'] / timed[other][kind]['minimum'])
                assert ratio['cpu_minimum'] == pytest.approx(
                    figures['cpu_minimum'] / timed[other][kind]['cpu_minimum'])
        ours, bounds = timed['ours'][kind], [timed[name][kind] for name in BOUNDS]
        assert ours['clips_per_second'] == pytest.approx(2 / ours['median'])
        assert ours['share_of_bound_rate'] == pytest.approx(
            ours['flop_per_second'] / max(bound['flop_per_second'] for bound in bounds))
        for bound in bounds:
            assert bound['flop_per_second'] == pytest.approx(
                2 * cost[f'linear_{kind}'] / bound['minimum'])
        assert ours['share_of_square_rate'] > 0


def check_memory(one, names):
    for name in names:
        memory = one['contestants'][name]['memory']
        assert memory['saved_bytes_per_clip'] > 0
        # Both ways count the same but for the outputs and what only lives beside the graph.
        assert memory['live_bytes_per_clip'] == pytest.approx(
            memory['saved_bytes_per_clip'], rel=0.1)
        assert memory['training_peak_bytes'] > 0


def test_flop_are_those_that_torch_counts(tool):
    cost = tool('model_cost').encoder_cost(SMALL | dict(token_output='patches_raw'), 3, 16)
    encoder = build_einsum(tool, 'patches_raw')
    with FlopCounterMode(display=False) as counted:
        outputs = encoder(torch.randn(1, 3, 3, 32, 32))
    assert counted.get_total_flops() == cost.forward
    with FlopCounterMode(display=False) as counted:
        torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
    assert counted.get_total_flops() == cost.training - cost.forward


def test_table(tool):
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        table = tool('model_cost').cost_tables()
    # The paper's parameters, in millions.
    assert '| b32 | 116.2 | 28.4 | 63.4 |' in table
    assert '| b16 | 114.6 | 28.4 | 63.4 |' in table
    assert '| h14 | 842.1 | 210.0 | 354.0 |' in table
    assert '| b16 | 12 | 0.5 | 98 of 196 | 1177 |' in table
    assert '| h14 | 12 | 0.7 | 76 of 256 | 913 |' in table


def build_einsum(tool, token_output):
    torch.manual_seed(0)
    backbone = SMALL | dict(type='tvtsv2_mm.SpaceTimeViT', token_output=token_output)
    contestants = tool('model_contestants')
    return contestants.build_einsum(
        backbone, contestants.build_ours(backbone, DEVICE, compiled=False), DEVICE)


@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
@pytest.mark.parametrize('spoiled', ['temporal_embedding', 'resblocks.1.timeattn.qkv.bias'])
def test_a_difference_is_found(tool, token_output, spoiled):
    measures = tool('model_measures')
    batch = measures.Batch(torch.randn(2, 3, 3, 32, 32), torch.tensor([[0, 3, 9], [1, 2, 15]]))

    def compute(encoder):
        return measures.outputs_and_gradients(
            lambda part: encoder(part.video, part.kept_patches), encoder, batch)

    encoder = build_einsum(tool, token_output)
    expected = compute(encoder)
    measures.check_equal(measures.largest_differences(compute(encoder), expected), 1e-5)
    with torch.no_grad():
        # The last entries: values, not keys, whose bias changes nothing.
        encoder.get_parameter(spoiled).view(-1)[-16:] += 0.01
    differences = measures.largest_differences(compute(encoder), expected)
    with pytest.raises(ValueError, match='not equal to the plain form'):
        measures.check_equal(differences, 1e-5)
    with pytest.raises(ValueError, match='not equal'):
        measures.check_equal(dict(loss=float('nan')), 1e-5)
    with pytest.raises(ValueError, match='only one has loss'):
        measures.largest_differences({}, dict(loss=torch.ones(1)))


@pytest.mark.parametrize(('options', 'message'), [
    ((), 'not equal to the plain form'),
    (('--masks', '1'), '--masks 1.0 keeps 0 of 16'),
    (('--masks', '-1'), '--masks -1.0 keeps 32 of 16'),
    (('--frames', '9'), '--frames 9 does not fit tiny'),
])
def test_the_tool_ends_with_an_error(tool, monkeypatch, options, message):
    model = tool('model')
    monkeypatch.setattr(model, 'TOLERANCE', 0.0)
    monkeypatch.setattr(sys, 'argv', ['model.py', '--sizes', 'tiny', *options])
    with pytest.raises(SystemExit, match=message):
        model.main()


def test_saved_bytes_count_each_storage_once(tool):
    measures = tool('model_measures')
    weight = torch.nn.Parameter(torch.randn(4))

    def forward(batch):
        y = (batch.video * weight).exp()
        return [y[:, :5] * y[:, 5:] + weight.exp().sum()]

    # Of a clip y, 10 x 4; whatever the clips exp(weight); neither the video nor the weight itself.
    batch = measures.Batch(torch.randn(3, 10, 4), None)
    assert measures.per_clip(
        lambda part: measures.saved_bytes(forward, part, [weight]), batch) == (160, 16)
    # Also the output, 5 x 4.
    assert measures.per_clip(
        lambda part: measures.live_bytes(forward, part), batch) == (240, 16)


def test_counting_saved_bytes_frees_the_graph(tool):
    measures = tool('model_measures')
    weight = torch.nn.Parameter(torch.randn(4))
    outputs = []

    def forward(batch):
        y = (batch.video * weight).exp()  # saves its own output
        outputs.append(StorageWeakRef(y.untyped_storage()))
        return [y.sum()]

    measures.saved_bytes(forward, measures.Batch(torch.randn(3, 10, 4), None), [weight])
    gc.collect()
    assert outputs[0].expired()


def test_live_bytes_see_what_checkpointing_keeps(tool):
    measures = tool('model_measures')
    weight = torch.nn.Parameter(torch.randn(4))

    def forward(batch):
        x = (batch.video * weight).exp()
        return [torch.utils.checkpoint.checkpoint(
            lambda x: x.sin().cos().sum(), x * 2, use_reentrant=False)]

    # exp(video * weight), and the input of the part that is computed again.
    batch = measures.Batch(torch.randn(3, 10, 4), None)
    assert measures.per_clip(lambda part: measures.live_bytes(forward, part), batch)[0] == 320


def test_a_step_that_does_not_fit_is_left_out(tool):
    measures = tool('model_measures')
    calls = []

    def fail():
        calls.append('fails')
        raise torch.OutOfMemoryError('CUDA out of memory')

    seconds = measures.measure_seconds(
        dict(fails=fail, fits=lambda: calls.append('fits')), 2, DEVICE, lambda text: None)
    assert list(seconds) == ['fits']
    assert len(seconds['fits'].wall) == len(seconds['fits'].cpu) == 2
    assert calls == ['fails', 'fits', 'fits', 'fits']


def test_flop_of_texts_and_sorting(tool):
    cost = tool('model_cost')
    config = cost.model_config('tiny')
    with DefaultScope.overwrite_default_scope('tvtsv2_mm'):
        model = cost.MODELS.build(config)
    tokens = torch.randint(1, 99, (cost.TRANSCRIPTS, cost.TEXT_TOKENS))
    video = torch.randn(1, 1 + 8 * 8, config['backbone']['embed_dim'])
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(
            torch.nn.attention.SDPBackend.MATH), torch.no_grad():
        model.sorting_head(video, model.neck(tokens, padded=False)[None])
    # Left out: the projections to embeddings and to logits.
    assert cost.transcripts_flop(config, 8, 8) == pytest.approx(counter.get_total_flops(), rel=0.01)
