"""Folders with tokenizer files in the published form of SigLIP 2's and MetaCLIP 2's, but tiny."""

import json
from pathlib import Path

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from tokenizers.trainers import BpeTrainer, UnigramTrainer

CORPUS = ['a dog runs over the hill', 'the cat sat on the mat', 'it is a photo of two dogs',
          '三只猫在桌子上', 'كلب يركض فوق التل', '🐈 🐕 🐈', 'Die Katze sitzt'] * 3
TEXTS = ['a dog runs', 'A Dog RUNS over THE hill', '', '   two  spaces ', '三只猫 on the mat',
         'كلب يركض', '🐈‍⬛ and 🐕!', 'new\nline\tand tab', 'Ünïcödé ½', 'word ' * 100]


def write_gemma(folder: Path, corpus: list[str] = CORPUS, **config: object) -> Path:
    """The form of google/siglip2-*: byte pairs, no lower case in tokenizer.json, <eos> by config.

    As transformers' conversion of the authors' weights writes it (convert_siglip_to_hf.py).
    """
    special = ['<pad>', '<eos>', '<bos>', '<unk>', '<mask>']
    tokenizer = Tokenizer(BPE(unk_token='<unk>', byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(' ', '▁')
    tokenizer.pre_tokenizer = pre_tokenizers.Split(' ', 'merged_with_previous')
    tokenizer.train_from_iterator(corpus, BpeTrainer(
        vocab_size=120, special_tokens=special, show_progress=False))
    content = json.loads(tokenizer.to_str())
    vocabulary = content['model']['vocab']
    for byte in range(256):
        vocabulary.setdefault(f'<0x{byte:02X}>', len(vocabulary))
    content['post_processor'] = json.loads(processors.TemplateProcessing(
        single='$A:0 <eos>:0', special_tokens=[('<eos>', 1)]).__getstate__())
    return _write(folder, content, dict(
        tokenizer_class='GemmaTokenizer', add_bos_token=False, add_eos_token=True,
        do_lower_case=True, padding_side='right', bos_token='<bos>', eos_token='<eos>',
        pad_token='<pad>', unk_token='<unk>', processor_class='SiglipProcessor') | config)


def write_xlm_v(folder: Path, corpus: list[str] = CORPUS, **config: object) -> Path:
    """The form of facebook/metaclip-2-*: XLM-V's pieces with scores, <s> and </s> around a text."""
    special = ['<s>', '<pad>', '</s>', '<unk>']
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.train_from_iterator(corpus, UnigramTrainer(
        vocab_size=160, special_tokens=special, unk_token='<unk>', show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single='<s> $A </s>', special_tokens=[('<s>', 0), ('</s>', 2)])
    return _write(folder, json.loads(tokenizer.to_str()), dict(
        tokenizer_class='XLMRobertaTokenizer', bos_token='<s>', eos_token='</s>', pad_token='<pad>',
        sep_token='</s>', cls_token='<s>', unk_token='<unk>', mask_token='<mask>') | config)


def _write(folder: Path, content: dict, config: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'tokenizer.json').write_text(json.dumps(content, ensure_ascii=False), 'utf-8')
    (folder / 'tokenizer_config.json').write_text(json.dumps(config))
    return folder
