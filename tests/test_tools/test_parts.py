"""Parts of ours in MMAction2's pipelines and in models of others."""

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch.nn import functional as F

from tests.clip_models import make_hugging_face, randomize
from tests.test_tools.protocol_data import ROOT, make_motions, run_theirs
from tvtsv2_mm.models.backbones import SpaceTimeViT


def test_the_tube_mask_in_a_pipeline_of_mmaction2(tmp_path, monkeypatch):
    """Training computes with half of the tokens, validation and test with all."""
    tokens = []
    encode = SpaceTimeViT._embed

    def embed(self, patches, kept_patches):
        tokens.append((self.training, tuple(patches.shape[:3])))
        if kept_patches is not None:
            assert len({tuple(kept) for kept in kept_patches.tolist()}) > 1  # of each clip
        return encode(self, patches, kept_patches)

    make_motions(tmp_path / 'data' / 'narrated_shapes')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(SpaceTimeViT, '_embed', embed)
    config = ROOT / 'configs' / 'mmaction2' / 'tiny_tube-mask.py'
    run_theirs('train.py', config, '--work-dir', 'out', '--cfg-options', 'train_cfg.max_epochs=1',
               'train_cfg.val_interval=1', 'train_dataloader.batch_size=3')
    assert tokens == [(True, (3, 8, 8)), (True, (3, 8, 8)), (False, (6, 8, 16))]
    tokens.clear()
    run_theirs('test.py', config, 'out/epoch_1.pth', '--work-dir', 'out')
    assert tokens == [(False, (36, 8, 16))]  # of six videos two clips, three crops


class TextRegressor(BaseModel):
    """Somebody's model with our text encoder."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = MODELS.build(encoder)
        self.score = torch.nn.Linear(24, 1)

    def forward(self, tokens, target, mode='tensor'):
        scores = self.score(self.encoder(tokens))
        return dict(loss=F.mse_loss(scores[:, 0], target)) if mode == 'loss' else scores


def test_the_text_encoder_in_a_model_of_others(tmp_path):
    """Weights of CLIP; the deep blocks alone are tuned, by mmengine's own optimiser constructor."""
    torch.manual_seed(0)
    clip = make_hugging_face('quick_gelu')
    randomize(clip)
    clip.save_pretrained(tmp_path / 'clip')
    text = clip.config.text_config
    tokens = torch.randint(1, 79, (8, 6))
    tokens[:, 5] = text.vocab_size - 1
    with DefaultScope.overwrite_default_scope('mmengine'):
        model = TextRegressor(dict(
            _scope_='tvtsv2_mm', type='PartiallyFrozenTextEncoder', width=text.hidden_size,
            layers=text.num_hidden_layers, heads=text.num_attention_heads,
            mlp_width=text.intermediate_size, embed_dim=clip.config.projection_dim,
            vocab_size=text.vocab_size, context_length=text.max_position_embeddings,
            frozen_layers=1, freeze_embeddings=True,
            init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'clip'))))
        runner = Runner(
            model, work_dir=str(tmp_path / 'out'), experiment_name='text', cfg=Config(dict()),
            train_dataloader=dict(
                dataset=[dict(tokens=own, target=torch.rand(())) for own in tokens], batch_size=8,
                sampler=dict(type='DefaultSampler'), collate_fn=dict(type='default_collate')),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2)))
        model.init_weights()
        with torch.no_grad():
            expected = clip.text_projection(clip.text_model(tokens).pooler_output)
            torch.testing.assert_close(model.encoder(tokens), expected, atol=1e-5, rtol=0)
        before = {name: value.clone() for name, value in model.named_parameters()}
        runner.train()
    changed = {name for name, value in model.named_parameters()
               if not torch.equal(value, before[name])}
    frozen = {name for name in before if 'layers.0.' in name or 'embeddings' in name}
    assert frozen and not frozen & changed
    assert {name for name in before if 'layers.1.' in name} <= changed
