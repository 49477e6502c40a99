import pytest
import torch
from mmengine.dataset import pseudo_collate
from transformers import SiglipConfig, SiglipModel

from tvtsv2_mm.apis import export
from tvtsv2_mm.models import PartiallyFrozenSiglipTextEncoder, VideoTextModel

SIZES = dict(width=32, layers=4, heads=2, embed_dim=16, frozen_layers=3, vocab_size=64,
             context_length=12)


def make_tokens(count: int = 5) -> torch.Tensor:
    """Texts with the end token 1, padded with 0."""
    tokens = torch.randint(2, 64, (count, 12))
    for row, end in zip(tokens, torch.randint(3, 10, (count, )), strict=True):
        row[end] = 1
        row[end + 1:] = 0
    return tokens


def original(embed_dim: int) -> SiglipModel:
    return SiglipModel(SiglipConfig(
        text_config=dict(
            hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48,
            vocab_size=64, max_position_embeddings=12, projection_size=embed_dim),
        vision_config=dict(
            hidden_size=embed_dim, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, image_size=16, patch_size=8))).eval()


@pytest.fixture
def model(model_cfg) -> VideoTextModel:
    neck = SIZES | dict(type='PartiallyFrozenSiglipTextEncoder', embed_dim=32)
    return VideoTextModel(**model_cfg | dict(
        neck=neck, data_preprocessor=dict(type='VideoTextDataPreprocessor')))


@pytest.mark.parametrize('embed_dim', [16, 32])
def test_equal_to_transformers(embed_dim):
    siglip = original(embed_dim)
    with torch.no_grad():
        for parameter in siglip.parameters():  # biases and norms are constant at first
            parameter.add_(0.1 * torch.randn_like(parameter))
    neck = PartiallyFrozenSiglipTextEncoder(**SIZES | dict(embed_dim=embed_dim, mlp_width=48))
    neck.siglip.load_state_dict(siglip.text_model.state_dict())
    tokens = make_tokens()
    with torch.no_grad():
        expected = siglip.get_text_features(tokens)
        expected = getattr(expected, 'pooler_output', expected)  # transformers 4 gives it alone
        torch.testing.assert_close(neck(tokens), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(neck(tokens, padded=False), expected, atol=1e-5, rtol=1e-5)


def test_the_padding_is_read():
    """Of the model too: its data preprocessor cuts nothing, and shorter texts are refused."""
    neck = PartiallyFrozenSiglipTextEncoder(**SIZES)
    tokens = make_tokens()
    other = tokens.where(tokens != 0, 5)
    assert not torch.allclose(neck(tokens), neck(other), atol=1e-3)
    with pytest.raises(ValueError, match=r'texts of 11 tokens: .*neck\.context_length=12 tokens'):
        neck(tokens[:, :11])
    with pytest.raises(ValueError, match='do not fit'):
        neck(torch.cat([tokens, tokens], dim=1))


def test_a_model_leaves_its_texts_whole(model):
    sample = dict(video=torch.zeros(6, 3, 32, 32, dtype=torch.uint8), tokens=make_tokens(3))
    batch = model.data_preprocessor(pseudo_collate([dict(inputs=sample)] * 2))
    assert batch['inputs']['tokens'].shape == (2, 3, 12)
    losses = model(batch['inputs'], mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())


def test_freezing_lora_and_depth():
    neck = PartiallyFrozenSiglipTextEncoder(
        **SIZES, freeze_embeddings=True, lora=dict(rank=2, targets=['q_proj', 'v_proj']))
    trained = {name for name, p in neck.named_parameters() if p.requires_grad}
    assert {name.rpartition('.lora_')[0] for name in trained} == {
        f'siglip.encoder.layers.3.self_attn.{name}' for name in ('q_proj', 'v_proj')}
    depths = {name.split('.layers.')[0]: neck.get_layer_depth(f'neck.{name}', 'neck.')
              for name in PartiallyFrozenSiglipTextEncoder(**SIZES).state_dict()}
    assert depths == {
        'siglip.embeddings.token_embedding.weight': (0, 6),
        'siglip.embeddings.position_embedding.weight': (0, 6),
        'siglip.encoder': (4, 6),
        'siglip.final_layer_norm.weight': (5, 6), 'siglip.final_layer_norm.bias': (5, 6),
        'siglip.head.weight': (5, 6), 'siglip.head.bias': (5, 6)}


def test_exported_texts_are_the_models(model, tmp_path):
    tower = export.TextTower(model).eval()
    for tokens in (tower.example(2), make_tokens()):
        torch.testing.assert_close(tower(tokens), export.reference(model, 'text', tokens))
    path = tmp_path / 'text.pt2'
    export._write_pt2(tower, path)
    tokens = make_tokens(7)
    torch.testing.assert_close(torch.export.load(path).module()(tokens), tower(tokens))
