"""A model with another tokenizer than CLIP's, from the hub's folder to texts in many languages."""

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from transformers import MetaClip2Config, MetaClip2Model, XLMRobertaTokenizerFast

from tests.clip_models import randomize
from tests.tiny_tokenizers import CORPUS, TEXTS, write_gemma, write_xlm_v
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.apis.launch import runs
from tvtsv2_mm.apis.launch.fit_to_model import fit_to_model
from tvtsv2_mm.checkpoints import CheckpointError
from tvtsv2_mm.checkpoints.convert_checkpoint import convert_checkpoint, inspect_checkpoint
from tvtsv2_mm.datasets.transforms import PackVideoText, TokenizeText
from tvtsv2_mm.models import VideoTextModel, ZeroShotHead
from tvtsv2_mm.registry import MODELS
from tvtsv2_mm.utils.tokenizer_files import find_tokenizer, name_of

LENGTH = 12


@pytest.fixture(scope='module')
def hub(tmp_path_factory) -> Path:
    """A folder as those of facebook/metaclip-2-*."""
    folder = write_xlm_v(tmp_path_factory.mktemp('metaclip2'))
    torch.manual_seed(0)
    tower = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=256)
    model = MetaClip2Model(MetaClip2Config(
        projection_dim=24, vision_config=tower | dict(image_size=32, patch_size=8),
        text_config=tower | dict(vocab_size=256, max_position_embeddings=LENGTH, bos_token_id=0,
                                 eos_token_id=2)))
    randomize(model)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope='module')
def config(hub) -> dict:
    """As a size config has it: the kind of the tokenizer, whatever its vocabulary."""
    config = inspect_checkpoint(hub).config
    assert config['neck']['tokenizer'] == name_of(hub)
    config['backbone']['num_frames'] = 4
    return config | dict(neck=config['neck'] | dict(tokenizer='XLMRobertaTokenizer'))


@pytest.fixture
def converted(hub, tmp_path) -> Path:
    path = tmp_path / 'converted' / 'own.safetensors'
    convert_checkpoint(hub, path)
    return path


def texts_of(config: dict, weights: Path, **options: object) -> TVTSv2Inferencer:
    return TVTSv2Inferencer(dict(model=config), weights, texts_only=True, show_progress=False,
                            device='cpu', **options)


@pytest.mark.filterwarnings('ignore:.*texts are longer')
def test_texts_have_the_originals_embeddings(hub, config, converted):
    """From the folder, and from the converted file that its tokenizer travels with."""
    tokens = XLMRobertaTokenizerFast.from_pretrained(hub)(
        TEXTS, padding='max_length', truncation=True, max_length=LENGTH, return_tensors='pt')
    with torch.no_grad():
        expected = MetaClip2Model.from_pretrained(hub).get_text_features(tokens.input_ids)
    expected = torch.nn.functional.normalize(
        getattr(expected, 'pooler_output', expected), dim=-1).numpy()
    for weights in (hub, hub / 'model.safetensors', converted):
        infer = texts_of(config, weights)
        assert infer.embed_texts(TEXTS) == pytest.approx(expected, abs=1e-5)
        # What the config left open the weights have told.
        assert infer.model.neck.tokenizer == name_of(hub)
    assert find_tokenizer(name_of(hub), [converted]) == str(
        converted.parent / 'tokenizers' / name_of(hub))


def test_another_vocabulary_is_refused(hub, config, converted, tmp_path):
    other = write_xlm_v(tmp_path / 'other', CORPUS[:4])
    with pytest.raises(ValueError, match=rf'the tokens of {name_of(hub)!r} \(neck\.tokenizer\), '
                                         rf'and tokenizer makes those of {name_of(other)!r}'):
        texts_of(config, converted, tokenizer=other).embed_texts(['a dog'])
    shutil.rmtree(converted.parent / 'tokenizers')
    with pytest.raises(FileNotFoundError, match=r'whose tokenizer\.json is not beside .*own\.safe'
                                                r'tensors.*tokenizers/XLMRobertaTokenizer_'):
        texts_of(config, converted).embed_texts(['a dog'])
    assert texts_of(config, converted, tokenizer=hub).embed_texts(['a dog']).shape == (1, 24)
    # By the config, before any text.
    wrong = config | dict(neck=config['neck'] | dict(tokenizer=name_of(other)))
    with pytest.raises(CheckpointError, match=r'neck\.tokenizer: '):
        texts_of(wrong, converted)


def test_what_is_not_there_to_travel_is_told(hub, tmp_path):
    source = tmp_path / 'alone'
    source.mkdir()
    convert_checkpoint(hub, source / 'own.pth')
    shutil.rmtree(source / 'tokenizers')
    report = {}
    convert_checkpoint(source / 'own.pth', tmp_path / 'x' / 'own.pth', report=report)
    assert any(f'the tokenizer.json of {name_of(hub)} is not beside' in line
               for line in report['assumed'])


def test_tokens_of_samples_are_checked(hub, config, tmp_path):
    model = MODELS.build(dict(config, data_preprocessor=dict(type='VideoTextDataPreprocessor')))
    load_checkpoint(model, str(hub))

    def predict(folder):
        sample = TokenizeText(context_length=LENGTH, tokenizer=str(folder)).transform(
            dict(captions=['三只猫', 'a dog'], imgs=torch.zeros(4, 32, 32, 3).byte().numpy()))
        batch = pseudo_collate([PackVideoText().transform(sample)])
        return model.test_step(batch)[0].text_embeds

    assert predict(hub).shape == (2, 24)
    other = write_xlm_v(tmp_path / 'other', CORPUS[:4])
    for folder in (other, 'clip'):
        with pytest.raises(ValueError, match=r'TokenizeText\.tokenizer makes those of'):
            predict(folder)
    head = ZeroShotHead(classes=['a', 'b'], context_length=LENGTH, tokenizer=str(hub))
    assert head.predict(torch.randn(3, 24), model.neck).shape == (3, 2)
    head = ZeroShotHead(classes=['a', 'b'], context_length=LENGTH)
    with pytest.raises(ValueError, match=r"cls_head\.tokenizer makes those of 'clip'"):
        head.predict(torch.randn(3, 24), model.neck)


def test_a_trained_checkpoint_knows_its_vocabulary(hub, config):
    model = MODELS.build(config)
    load_checkpoint(model, str(hub))
    saved = model.state_dict()
    again = MODELS.build(config)
    again.load_state_dict(saved)
    assert again.neck.tokenizer == name_of(hub)


def test_a_training_learns_whose_vocabulary_it_reads(hub, config):
    """Its checkpoints tell the fingerprint, by which alone the files beside them are taken."""
    model = MODELS.build(dict(config, data_preprocessor=dict(type='VideoTextDataPreprocessor')))
    assert model.neck.tokenizer == 'XLMRobertaTokenizer'
    sample = TokenizeText(context_length=LENGTH, tokenizer=str(hub)).transform(
        dict(captions=['a dog'], imgs=torch.zeros(4, 32, 32, 3).byte().numpy()))
    model.test_step(pseudo_collate([PackVideoText().transform(sample)]))
    assert model.neck.tokenizer == model.neck.built_with['tokenizer'] == name_of(hub)


def test_a_tokenizer_of_a_sibling_is_not_taken(hub, config, converted):
    """Of a folder that names the kind and lacks tokenizer.json; nor is it by a run's config."""
    own = converted.parent / 'own'
    shutil.copytree(hub, own)
    (own / 'tokenizer.json').unlink()
    with pytest.raises(FileNotFoundError, match=r"'XLMRobertaTokenizer' .*, whose tokenizer\."
                                                r'json is not beside .*tokenizer=FOLDER'):
        texts_of(config, own).embed_texts(['a dog'])
    cfg = make_config(load_from=str(own))
    fit_to_model(cfg)
    assert 'tokenizer' not in cfg.train_dataloader.dataset.pipeline[0]
    shared = own / 'tokenizers' / 'XLMRobertaTokenizer'  # as the message says
    shared.mkdir(parents=True)
    for name in ('tokenizer.json', 'tokenizer_config.json'):
        shutil.copy(hub / name, shared)
    assert texts_of(config, own).embed_texts(['a dog']).shape == (1, 24)
    convert_checkpoint(own, converted.parent / 'again' / 'own.pth')
    cfg = make_config(load_from=str(converted.parent / 'again' / 'own.pth'))
    fit_to_model(cfg)
    assert cfg.model.cls_head.tokenizer == str(
        converted.parent / 'again' / 'tokenizers' / name_of(hub))


def make_config(**top: object) -> Config:
    return Config(dict(
        model=dict(backbone=dict(), neck=dict(
            context_length=LENGTH, tokenizer='XLMRobertaTokenizer'),
                   cls_head=dict(type='ZeroShotHead')),
        train_dataloader=dict(dataset=dict(pipeline=[dict(type='TokenizeText')])),
        custom_hooks=[dict(type='QueryBankHook')], **top))


@pytest.mark.parametrize('place', [
    lambda cfg, path: cfg.update(load_from=str(path)),
    lambda cfg, path: (path.with_name('last_checkpoint').write_text(str(path)),
                       cfg.update(work_dir=str(path.parent))),
    lambda cfg, path: cfg.model.update(init_cfg=dict(checkpoint=str(path))),
    lambda cfg, path: cfg.model.neck.update(init_cfg=dict(checkpoint=str(path)))])
def test_a_config_takes_the_tokenizer_beside_its_weights(hub, converted, place):
    cfg = make_config()
    place(cfg, converted)
    fit_to_model(cfg)
    folder = str(converted.parent / 'tokenizers' / name_of(hub))
    assert cfg.train_dataloader.dataset.pipeline[0].tokenizer == folder
    assert cfg.model.cls_head.tokenizer == cfg.custom_hooks[0].tokenizer == folder


def test_a_config_names_its_tokenizer(hub, converted):
    cfg = make_config(tokenizer='mine', load_from=str(converted))
    fit_to_model(cfg)
    assert cfg.train_dataloader.dataset.pipeline[0].tokenizer == 'mine'
    cfg = make_config(load_from='https://x/y.pth')
    fit_to_model(cfg)
    assert 'tokenizer' not in cfg.train_dataloader.dataset.pipeline[0]


class PlainRunner:
    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg

    def train(self) -> str:
        return 'trained'

    def call_hook(self, fn_name: str, **kwargs: object) -> None:
        pass


def test_the_files_lie_beside_the_checkpoints_of_a_training(tmp_path):
    folder = write_gemma(tmp_path / 'hub')
    cfg = make_config(work_dir=str(tmp_path / 'run'), tokenizer=str(folder),
                      default_hooks=dict(checkpoint=dict(out_dir=str(tmp_path / 'far'))))
    fit_to_model(cfg)
    runner = type('Runner', (runs._OurRunner, PlainRunner), {})(cfg)
    assert runner.train() == 'trained'
    for path in ('run/epoch_1.pth', 'far/run/epoch_1.pth'):
        assert find_tokenizer(name_of(folder), [tmp_path / path]) is not None


def test_a_siglip_like_model_reads_whole_texts(tmp_path):
    """Padded to its context by its tokenizer, from a sample to the loss."""
    folder = write_gemma(tmp_path)
    model = VideoTextModel(
        backbone=dict(type='SpaceTimeViT', image_size=32, patch_size=8, width=48, layers=1, heads=3,
                      embed_dim=32, num_frames=2),
        neck=dict(type='PartiallyFrozenSiglipTextEncoder', width=32, layers=2, heads=2,
                  embed_dim=32, frozen_layers=1, vocab_size=400, context_length=LENGTH),
        contrastive_head=dict(type='VideoTextSigmoidHead'),
        data_preprocessor=dict(type='VideoTextDataPreprocessor'))
    samples = [PackVideoText().transform(
        TokenizeText(context_length=LENGTH, tokenizer=str(folder)).transform(
            dict(captions=[text], imgs=torch.zeros(2, 32, 32, 3).byte().numpy())))
        for text in ('a dog', 'كلب يركض', '三只猫 🐈')]
    batch = model.data_preprocessor(pseudo_collate(samples))
    assert batch['inputs']['tokens'].shape == (3, 1, LENGTH)
    assert model(**batch, mode='loss')['loss_contrastive'].isfinite()
