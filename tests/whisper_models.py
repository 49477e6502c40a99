"""Whisper for tests: a tiny one for faster-whisper itself, and a record of what that answers."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

RECORD = Path(__file__).parent / 'data' / 'speech' / 'faster_whisper.json'

WIDTH = 8
# What stands at each place of what it says, behind the start, the language and the task.
SAID = {2: '<|0.00|>', 3: 'Ġred', 4: 'Ġball', 5: '<|1.00|>'}
END = 6


def save_tiny_whisper(folder: Path) -> Path:
    """Write one of 200 kB, which says " red ball" in German to any speech.

    The positions of its decoder are so large that the rest of it does not matter, and the word of
    a place is the one whose output looks in the direction of that place.
    """
    from ctranslate2.specs.whisper_spec import WhisperSpec
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    special = ['<|endoftext|>', '<|startoftranscript|>', '<|en|>', '<|de|>', '<|translate|>',
               '<|transcribe|>', '<|startoflm|>', '<|startofprev|>', '<|nospeech|>',
               '<|notimestamps|>']
    # The empty one is what CTranslate2 knows a model of several languages by.
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), 'Ġred', 'Ġball', '', *special,
             *(f'<|{0.02 * number:.2f}|>' for number in range(1501))]
    places = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=places, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / 'tokenizer.json'))

    rng = np.random.default_rng(0)

    def noise(*shape):
        return rng.normal(0, 0.1, shape).astype(np.float32)

    def fill(layer, outputs=WIDTH):
        layer.weight, layer.bias = noise(outputs, WIDTH), noise(outputs)

    def fill_norm(layer):
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    spec = WhisperSpec(1, 1, 1, 1)
    for layer, inputs in ((spec.encoder.conv1, 80), (spec.encoder.conv2, WIDTH)):
        layer.weight, layer.bias = noise(WIDTH, inputs, 3), noise(WIDTH)
    for part, length in ((spec.encoder, 1500), (spec.decoder, 448)):
        part.position_encodings.encodings = noise(length, WIDTH)
        fill_norm(part.layer_norm)
        for layer in part.layer:
            attentions = [(layer.self_attention, (3 * WIDTH, WIDTH))]
            if part is spec.decoder:
                attentions.append((layer.attention, (WIDTH, 2 * WIDTH, WIDTH)))
            for attention, sizes in attentions:
                fill_norm(attention.layer_norm)
                for linear, size in zip(attention.linear, sizes, strict=True):
                    fill(linear, size)
            fill_norm(layer.ffn.layer_norm)
            fill(layer.ffn.linear_0)
            fill(layer.ffn.linear_1)
    directions = np.eye(WIDTH, dtype=np.float32)
    spec.decoder.position_encodings.encodings += 50 * directions[
        np.minimum(np.arange(448), END)]
    spec.decoder.embeddings.weight = noise(len(words), WIDTH)
    spec.decoder.projection.weight = np.zeros((len(words), WIDTH), np.float32)
    for place, word in {0: '<|de|>', **SAID, END: '<|endoftext|>'}.items():
        spec.decoder.projection.weight[places[word]] = 10 * directions[place]
    for key, value in dict(
            lang_ids=[places['<|en|>'], places['<|de|>']], alignment_heads=[[0, 0]],
            suppress_ids=[], suppress_ids_begin=[]).items():
        setattr(spec.config, key, value)
    spec.register_vocabulary(words)
    spec.validate()
    spec.save(str(folder))
    assert json.loads((folder / 'config.json').read_text())['lang_ids']
    return folder


class RecordedModel:
    """In the place of ``faster_whisper.WhisperModel``: answers what is recorded, in its types."""

    supported_languages = ['en']

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.asked: list[tuple[int, Any, dict]] = []

    def transcribe(self, audio: np.ndarray, **options: Any) -> tuple[Iterator, Any]:
        from faster_whisper.transcribe import Segment, TranscriptionInfo, Word
        self.asked.append((len(audio), audio.dtype, options))
        record = json.loads(RECORD.read_text('utf-8'))
        for kind, entry in ((Segment, record['segments'][0]), (TranscriptionInfo, record['info']),
                            (Word, record['segments'][0]['words'][0])):
            assert {field.name for field in dataclasses.fields(kind)} == entry.keys()
        segments = [Segment(**entry | dict(words=[Word(**word) for word in entry['words']]))
                    for entry in record['segments']]
        return iter(segments), TranscriptionInfo(**record['info'])
