from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from tvtsv2_mm.datasets.transforms import RandomTubeMask
from tvtsv2_mm.models import FramewiseViT, SpaceTimeViT

SIZES = dict(image_size=32, patch_size=8, width=48, layers=2, heads=3, embed_dim=16, num_frames=4)


@pytest.mark.parametrize(('token_output', 'count'), [('all_normed', 1 + 4 * 5),
                                                     ('patches_raw', 4 * 5)])
def test_shapes(token_output, count):
    model = SpaceTimeViT(**SIZES, token_output=token_output)
    kept = torch.stack([torch.randperm(16)[:5] for _ in range(2)])
    embeds, tokens = model(torch.randn(2, 4, 3, 32, 32), kept)
    assert embeds.shape == (2, 16)
    assert tokens.shape == (2, count, 16)


def test_masked_patches_are_never_seen():
    """What stands in a dropped patch, NaN even, changes nothing."""
    model = SpaceTimeViT(**SIZES)
    video = torch.randn(1, 4, 3, 32, 32)
    kept = torch.tensor([[1, 2, 7, 12]])
    expected, _ = model(video, kept)
    spoiled = torch.full_like(video, torch.nan)
    for patch in kept[0].tolist():
        rows, columns = patch // 4 * 8, patch % 4 * 8
        part = (..., slice(rows, rows + 8), slice(columns, columns + 8))
        spoiled[part] = video[part]
    torch.testing.assert_close(model(spoiled, kept)[0], expected)


def test_masked_patches_are_not_projected(monkeypatch):
    """The patch projection gets the kept patches only."""
    model = SpaceTimeViT(**SIZES)
    seen = []
    linear = torch.Tensor.__matmul__

    def record(self, other):
        seen.append(tuple(self.shape))
        return linear(self, other)

    monkeypatch.setattr(torch.Tensor, '__matmul__', record)
    model(torch.randn(2, 4, 3, 32, 32), torch.zeros(2, 3, dtype=torch.long))
    assert seen[0] == (2, 4, 3, 3 * 8 * 8)


def test_keeping_all_patches_is_no_mask():
    model = SpaceTimeViT(**SIZES)
    video = torch.randn(2, 4, 3, 32, 32)
    kept = torch.arange(16).expand(2, -1)
    torch.testing.assert_close(model(video, kept), model(video))


def test_patch_projection_is_the_convolution():
    model = SpaceTimeViT(**SIZES)
    video = torch.randn(2, 4, 3, 32, 32)
    expected = model.conv1(video.flatten(0, 1)).flatten(2).transpose(1, 2).view(2, 4, 16, 48)
    expected = expected + model.positional_embedding[1:] + model.temporal_embedding[:, None]
    out = model._embed(model._gather_patches(video, None), None)[:-2].view(2, 4, 16, 48)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_starts_without_time():
    """At the start, each block is CLIP's: shuffled frames give the same clip embedding."""
    model = SpaceTimeViT(**SIZES)
    torch.nn.init.zeros_(model.temporal_embedding)
    video = torch.randn(1, 4, 3, 32, 32)
    torch.testing.assert_close(
        model(video)[0], model(video[:, [2, 0, 3, 1]])[0], atol=1e-5, rtol=1e-4)
    torch.nn.init.normal_(model.temporal_embedding)
    difference = functional.l1_loss(model(video)[0], model(video[:, [2, 0, 3, 1]])[0])
    assert difference > 1e-3


def outputs_and_gradients(model, *args, **kwargs):
    torch.manual_seed(0)
    outputs = [out for out in model(*args, **kwargs) if out is not None]
    loss = sum((out * torch.randn_like(out)).sum() for out in outputs)
    return [*outputs, *torch.autograd.grad(loss, model.parameters())]


@pytest.mark.parametrize('backbone', [SpaceTimeViT, FramewiseViT])
def test_patches_stand_for_the_video(backbone):
    """As RandomTubeMask cuts them out."""
    model = backbone(**SIZES)
    imgs = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), np.uint8)
    cut = [RandomTubeMask(patch_size=8, ratio=0.7).transform(
        dict(imgs=clip, rng=np.random.default_rng(i))) for i, clip in enumerate(imgs)]
    kept = torch.from_numpy(np.stack([results['kept_patches'] for results in cut]))
    patches, video = (torch.from_numpy(x).movedim(-1, -3).float() / 255 for x in (
        np.stack([results['imgs'] for results in cut]), imgs))
    assert patches.shape == (2, 4, 4, 3, 8, 8)
    for own, expected in zip(model(patches, kept), model(video, kept), strict=True):
        torch.testing.assert_close(own, expected, rtol=0, atol=0)


@pytest.mark.parametrize('backbone', [SpaceTimeViT, FramewiseViT])
@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
def test_class_only(backbone, token_output):
    model = backbone(**SIZES, token_output=token_output).double()
    video = torch.randn(2, 4, 3, 32, 32, dtype=torch.float64)
    embeds, tokens = model(video, class_only=True)
    assert tokens is None
    torch.testing.assert_close(embeds, model(video)[0])


def test_checkpointing_keeps_less_and_changes_nothing():
    model = SpaceTimeViT(**SIZES, time_init='proj')
    video, kept = torch.randn(2, 4, 3, 32, 32), torch.stack([torch.arange(5), torch.arange(3, 8)])

    def kept_values(model):
        found = {}
        with torch.autograd.graph.saved_tensors_hooks(
                lambda t: found.update({t.untyped_storage().data_ptr(): t.numel()}) or t,
                lambda t: t):
            model(video, kept)
        return sum(found.values())

    expected, plain = outputs_and_gradients(model, video, kept), kept_values(model)
    model.checkpointing = True
    for own, reference in zip(outputs_and_gradients(model, video, kept), expected, strict=True):
        torch.testing.assert_close(own, reference, rtol=0, atol=0)
    assert kept_values(model) < plain / 2


@pytest.mark.parametrize(('shape', 'message'), [
    ((1, 4, 3, 40, 40), 'image_size=32, but the frames are 40 x 40'),
    ((1, 5, 3, 32, 32), '5 frames does not fit backbone.num_frames=4'),
    ((4, 3, 32, 32), 'expects'),
    ((1, 3, 4, 32, 32), 'expects'),
    ((1, 4, 5, 3, 7, 7), r"P' = None: set patch_size of RandomTubeMask"),
])
def test_wrong_input(shape, message):
    with pytest.raises(ValueError, match=message):
        SpaceTimeViT(**SIZES)(torch.randn(shape))


@pytest.mark.parametrize(('change', 'message'), [
    (dict(patch_size=7), 'multiple of patch_size'),
    (dict(token_output='all'), 'token_output'),
    (dict(activation='relu'), 'activation'),
    (dict(heads=5), 'multiple of heads'),
    (dict(layers=0), 'at least 1'),
    (dict(attention='sparse'), "attention must be one of divided, joint, not 'sparse'"),
])
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        SpaceTimeViT(**(SIZES | change))


def test_frozen():
    assert not any(p.requires_grad for p in SpaceTimeViT(**SIZES, frozen=True).parameters())


@pytest.mark.parametrize('kind', [SpaceTimeViT, FramewiseViT])
@pytest.mark.parametrize('token_output', ['all_normed', 'patches_raw'])
def test_what_a_recognizer_of_mmaction2_takes(kind, token_output):
    """Its layout in, and one tensor out; all that is trained has a gradient."""
    options = dict(image_size=32, patch_size=8, width=32, layers=2, heads=2, embed_dim=16,
                   num_frames=4, token_output=token_output)
    torch.manual_seed(0)
    own = kind(**options)
    clips = torch.randn(2, 4, 3, 32, 32)
    embeds, tokens = own(clips)
    for output, shape in (('embedding', (2, 16)), ('map', (2, 16, 4, 4, 4))):
        other = kind(**options, output=output)
        other.load_state_dict(own.state_dict())
        found = other(clips.transpose(1, 2))
        assert found.shape == shape
        found.square().sum().backward()
        assert all(value.grad is not None for name, value in other.named_parameters()
                   if value.requires_grad)
        if output == 'embedding':
            torch.testing.assert_close(found, embeds)
        else:
            for frame, row, column in ((0, 0, 0), (2, 1, 3)):
                number = frame * 16 + row * 4 + column
                torch.testing.assert_close(found[:, :, frame, row, column],
                                           tokens[:, number - 4 * 16])
    with pytest.raises(ValueError, match=r"recognizer of MMAction2 takes backbone\.output="):
        own(clips.transpose(1, 2))
    with pytest.raises(ValueError, match="'embedding' or 'map', not 'x'"):
        kind(**options, output='x')


@pytest.mark.parametrize('kind', [SpaceTimeViT, partial(SpaceTimeViT, attention='joint'),
                                  FramewiseViT, partial(FramewiseViT, frames_per_patch=2)])
def test_a_trace_holds_plain_operations(kind):
    """As torch.jit.trace, and MMAction2's get_flops.py, take them."""
    torch.manual_seed(0)
    vit = kind(image_size=32, patch_size=8, width=32, layers=2, heads=2, embed_dim=16,
               num_frames=4, output='map', time_init='proj').eval()
    clips = torch.randn(2, 3, 4, 32, 32)
    traced = torch.jit.trace(vit, clips, check_trace=False)
    assert 'PythonOp' not in str(traced.inlined_graph)
    with torch.no_grad():
        torch.testing.assert_close(traced(clips.flip(0)), vit(clips.flip(0)))


@pytest.mark.parametrize('kind', [SpaceTimeViT, FramewiseViT])
def test_masked_clips_of_a_recognizer(kind):
    """As RandomTubeMask leaves them behind FormatShape."""
    options = dict(image_size=32, patch_size=8, width=32, layers=2, heads=2, embed_dim=16,
                   num_frames=4)
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 32, 32), np.uint8)
    cut = RandomTubeMask(patch_size=8).transform(dict(imgs=clips, clip_len=4))
    imgs, kept = torch.tensor(cut['imgs']).float(), torch.tensor(cut['kept_patches'])
    model = kind(**options, output='embedding')
    expected, _ = model.encode(torch.tensor(clips).float().transpose(1, 2), kept)
    torch.testing.assert_close(model(imgs=imgs, kept_patches=kept), expected)
    for broken, message in (
            (lambda: model(imgs), "without kept_patches: take PackActionInputs"),
            (lambda: model(imgs[..., :16, :], kept), 'set patch_size of RandomTubeMask'),
            (lambda: model(kept_patches=kept), 'got neither video nor imgs'),
            (lambda: kind(**options, output='map')(imgs, kept), "'map' needs all patches")):
        with pytest.raises(ValueError, match=message):
            broken()


class TestJointAttention:
    """As in ViCLIP, of which test_peer_layouts.py has the outputs."""

    SIZES = SIZES | dict(attention='joint')

    def test_every_patch_sees_every_frame(self):
        video = torch.randn(1, 4, 3, 32, 32)
        other = video.clone()
        other[:, 3] = 0
        for attention, differ in (('divided', False), ('joint', True)):
            model = SpaceTimeViT(**SIZES | dict(attention=attention, layers=1))
            first = slice(1, 17)  # the patches of the first frame
            difference = (model(video)[1][:, first] - model(other)[1][:, first]).abs().max()
            assert bool(difference > 1e-4) is differ

    def test_has_clips_own_blocks(self):
        names = set(SpaceTimeViT(**self.SIZES).state_dict())
        assert names == {*FramewiseViT(**SIZES).state_dict(), 'temporal_embedding'}

    @torch.no_grad()
    @pytest.mark.parametrize(('frames', 'rows'), [(1, [[0, 1, 2, 3]]), (2, [[0, 1], [2, 3]])])
    def test_a_shorter_clip_has_the_mean_of_the_positions(self, frames, rows):
        model = SpaceTimeViT(**self.SIZES)
        video = torch.randn(2, frames, 3, 32, 32)
        found = model(video)[0]
        table = model.temporal_embedding
        other = SpaceTimeViT(**self.SIZES | dict(num_frames=frames))
        other.load_state_dict({**model.state_dict(), 'temporal_embedding': torch.stack(
            [table[own].mean(dim=0) for own in rows])})
        torch.testing.assert_close(found, other(video)[0])

    def test_masked_and_class_only(self):
        model = SpaceTimeViT(**self.SIZES)
        video, kept = torch.randn(2, 4, 3, 32, 32), torch.arange(16).expand(2, -1)
        torch.testing.assert_close(model(video, kept), model(video))
        torch.testing.assert_close(model(video, kept[:, :5], class_only=True)[0],
                                   model(video, kept[:, :5])[0], atol=1e-5, rtol=1e-5)


class TestDropPath:
    SIZES = dict(image_size=16, patch_size=8, width=8, layers=3, heads=1, embed_dim=4, num_frames=2)

    def test_nothing_is_dropped_or_drawn_outside_training_or_without_it(self):
        video = torch.randn(2, 2, 3, 16, 16)
        plain = SpaceTimeViT(**self.SIZES)
        dropping = SpaceTimeViT(**self.SIZES, drop_path_rate=0.5)
        dropping.load_state_dict(plain.state_dict())
        state = torch.get_rng_state()
        expected = plain(video)
        for found, own in zip(dropping.eval()(video), expected, strict=True):
            assert torch.equal(found, own)
        assert torch.equal(torch.get_rng_state(), state)

    def test_shares_rise_to_the_last_block_and_the_mean_is_kept(self, monkeypatch):
        model = SpaceTimeViT(**self.SIZES, drop_path_rate=0.4)
        seen = {}
        for number, block in enumerate(model.resblocks):
            monkeypatch.setattr(block, 'forward', lambda x, layout, class_only, branches, turns,
                                n=number:
                                seen.__setitem__(n, branches) or x)
        torch.manual_seed(0)
        model.encode(torch.zeros(20000, 1, 3, 16, 16))
        for number, share in enumerate((0, 0.2, 0.4)):
            factors = seen[number]
            assert factors.shape == (2, 20000)
            torch.testing.assert_close(factors, (factors > 0) / (1 - share))
            assert (factors == 0).float().mean().item() == pytest.approx(share, abs=0.01)
            # Attention and MLP are drawn each for themselves.
            both = (factors == 0).all(dim=0).float().mean().item()
            assert both == pytest.approx(share**2, abs=0.01)

    @pytest.mark.parametrize('again', ['checkpointing', 'compile'])
    def test_what_computes_or_compiles_blocks_again_drops_the_same(self, again):
        options = dict(self.SIZES, drop_path_rate=0.7, time_init='proj')
        plain = SpaceTimeViT(**options).double()
        other = SpaceTimeViT(**options, checkpointing=again == 'checkpointing').double()
        other.load_state_dict(plain.state_dict())
        if again == 'compile':
            for block in other.resblocks:
                block.compile(backend='eager')
        video = torch.randn(6, 2, 3, 16, 16, dtype=torch.float64)
        results = []
        for model in (plain, other):
            torch.manual_seed(3)
            embeds, tokens = model(video)
            (embeds.square().sum() + tokens.sum()).backward()
            results.append([embeds, tokens, *(p.grad for p in model.parameters())])
        for own, expected in zip(*results, strict=True):
            torch.testing.assert_close(own, expected, atol=1e-8, rtol=1e-6)

    def test_rates(self):
        with pytest.raises(ValueError, match=r'drop_path_rate must be in \[0, 1\), not 1'):
            SpaceTimeViT(**self.SIZES, drop_path_rate=1)
