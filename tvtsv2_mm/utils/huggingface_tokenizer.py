"""Tokens by the files of a folder, in the form of the hub; and who makes which tokens."""

import json
import string
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers

from tvtsv2_mm.utils.errors import UserFileError, one_error
from tvtsv2_mm.utils.tokenizer import (
    END_TOKEN,
    START_TOKEN,
    ClipTokenizer,
    TextTokenizer,
    Vocabulary,
    mend,
)
from tvtsv2_mm.utils.tokenizer_files import (
    SETTINGS,
    VOCABULARY,
    added_tokens,
    kind_of,
    name_of,
    read_settings,
    read_vocabulary,
    stamps,
)

# Its letters are a branch of a tree, which is freed by as many calls inside each other: a few
# hundred thousand end the process. Known vocabularies have some hundreds.
_LONGEST_TOKEN = 4096


def build_tokenizer(tokenizer: str = 'clip', context_length: int = 77) -> TextTokenizer:
    """Build the tokenizer that a config names.

    Args:
        tokenizer: 'clip', for which texts are mended; or a folder with ``tokenizer.json`` (and
            ``tokenizer_config.json``), such as that of a checkpoint from the hub, which says itself
            how they are cleaned, also where its vocabulary is CLIP's.
        context_length: tokens of a text, L.

    Raises:
        FileNotFoundError: the folder has no such file.
        UserFileError: a file is damaged, or says something that is not implemented here.
        MissingPackageError: as :class:`.ClipTokenizer`.
    """
    if tokenizer == 'clip':
        return ClipTokenizer(context_length)
    return HuggingFaceTokenizer(tokenizer, context_length)


class HuggingFaceTokenizer(TextTokenizer):
    """Texts to the tokens of a folder's ``tokenizer.json``, padded at their right.

    How texts are cleaned, begun, ended and padded is what the folder says: lower case where
    ``do_lower_case`` is set (SigLIP 2's Gemma tokenizer, which the class of transformers that loads
    it may pass over), ``add_bos_token`` and ``add_eos_token`` where they are given and else the
    post-processor, ``pad_token``. Equal to transformers, or to open_clip where its config names a
    tokenizer (which mends texts first), except that special tokens that a text spells are left out
    of it: captions are anybody's, and an end token in one would be where its embedding is read.

    Args:
        folder: with ``tokenizer.json``, ``tokenizer_config.json``, ``special_tokens_map.json``, and
            ``open_clip_config.json`` of a model of open_clip; the first is needed.
        context_length: Tokens in a row, L. A longer text is cut; what ends it stays last.

    Raises:
        FileNotFoundError, UserFileError: as :func:`build_tokenizer`.
    """

    def __init__(self, folder: str, context_length: int = 77) -> None:
        self.folder = folder
        place = Path(folder).expanduser().resolve()
        loaded = _load(place, name_of(place), stamps(place))
        self._backend, self._left_out, self._mended, self._canonical = (
            loaded[key] for key in ('backend', 'left_out', 'mended', 'canonical'))
        self.begin, self.end, self.pad = (loaded[key] for key in ('begin', 'end', 'pad'))
        self.vocabulary = loaded['vocabulary']
        super().__init__(context_length)

    def _encode(self, text: str) -> list[int]:
        if self._mended:
            text = mend(text)
        if self._canonical:
            text = _canonicalize(text)
        # One text at a time: encode_batch starts threads, which do not survive a fork.
        with one_error(f'{Path(self.folder) / VOCABULARY} cannot encode {text[:80]!r}',
                       UserFileError):  # an unknown word, and no token for these
            ids = self._backend.encode(text, add_special_tokens=False).ids
        return [token for token in ids if token not in self._left_out]

    def __reduce__(self) -> tuple:
        return type(self), (self.folder, self.context_length)


@lru_cache(maxsize=4)
def _load(folder: Path, name: str, _: tuple) -> dict[str, Any]:
    """What a tokenizer of the folder needs; once for all copies."""
    config = read_settings(folder, SETTINGS[0])
    names = {key: value.get('content') if isinstance(value, dict) else value
             for key, value in (read_settings(folder, SETTINGS[1]) | config).items()
             if key.endswith('_token')}
    mended, clean = _cleaning(folder, config)
    for side in ('padding_side', 'truncation_side'):
        if config.get(side, 'right') != 'right':
            raise UserFileError(f'{folder / SETTINGS[0]}: {side}={config[side]!r} is not '
                                'implemented')
    content = read_vocabulary(folder)
    with one_error(f'{folder / VOCABULARY} is no tokenizer that can be used here', UserFileError):
        model = content['model']
        if model.get('dropout'):
            raise ValueError(f'its tokens are random (dropout={model["dropout"]!r})')
        longest = max(map(len, chain(
            (added['content'] for added in content.get('added_tokens') or ()),
            (entry[0] if isinstance(entry, list) else entry for entry in model['vocab']))),
            default=0)
        if longest > _LONGEST_TOKEN:
            raise ValueError(f'it has a token of {longest} characters')
        backend = Tokenizer.from_str(json.dumps(content))  # what the name was made of
        backend.no_padding()
        backend.no_truncation()
        if clean == 'lower':
            backend.normalizer = normalizers.Sequence([
                normalizers.Lowercase(), *([backend.normalizer] if backend.normalizer else ())])
        ids = backend.get_vocab()
        for token, index in added_tokens(folder).items():
            if token not in ids or index not in (None, ids[token]):
                raise ValueError(f'its settings add the token {token!r}, which it does not have: '
                                 'transformers writes them as one, AutoTokenizer.from_pretrained('
                                 'FOLDER).save_pretrained(FOLDER)')
        if name == 'clip':  # as its class has it, where no file does
            names.setdefault('pad_token', '<|endoftext|>')
        pad = _id_of(names.get('pad_token') or (content.get('padding') or {}).get('pad_token'),
                     'pad_token', ids)
        if name == 'clip':
            begin, end = (START_TOKEN, ), (END_TOKEN, )
        elif 'add_bos_token' in config or 'add_eos_token' in config:
            begin, end = ((_id_of(names.get(f'{key}_token'), f'{key}_token', ids), )
                          if config.get(f'add_{key}_token') else () for key in ('bos', 'eos'))
        else:
            begin, end = _frame(content.get('post_processor'))
        if not {*begin, *end} <= {*ids.values()}:  # whose number is that of embeddings
            raise ValueError(f'it begins or ends texts with tokens that it does not have: '
                             f'{(*begin, *end)}')
        unknown = {model.get('unk_id'), ids.get(model.get('unk_token'))}
        special = {token for token, added in backend.get_added_tokens_decoder().items()
                   if added.special}
        left_out = ({*special, pad} - unknown) | {*begin, *end}  # CLIP's end is unk_token, too
    return dict(backend=backend, begin=begin, end=end, pad=pad, left_out=left_out, mended=mended,
                canonical=clean == 'canonicalize',
                vocabulary=Vocabulary(name, max(ids.values()) + 1))


def _frame(processor: Any) -> tuple[tuple, tuple]:
    """The ids that a post-processor puts before and behind a text."""
    kind = processor and processor['type']
    if kind in (None, 'ByteLevel'):
        return (), ()
    if kind in ('BertProcessing', 'RobertaProcessing'):
        return (processor['cls'][1], ), (processor['sep'][1], )
    if kind == 'Sequence':
        frames = [_frame(each) for each in processor['processors']]
        return (tuple(token for begin, _ in frames[::-1] for token in begin),
                tuple(token for _, end in frames for token in end))
    if kind != 'TemplateProcessing':
        raise ValueError(f'its post_processor {kind!r} is not implemented')
    ids: list[int | None] = []
    for piece in processor['single']:
        ids += ([None] if 'Sequence' in piece else  # the text
                processor['special_tokens'][piece['SpecialToken']['id']]['ids'])
    text: Any = ids.index(None)
    return tuple(ids[:text]), tuple(ids[text + 1:])


def _id_of(token: Any, role: str, ids: dict[str, int]) -> int:
    if not isinstance(token, str) or token not in ids:
        raise ValueError(f'its {role} is {token!r}, which is none of its tokens')
    return ids[token]


def _cleaning(folder: Path, config: dict[str, Any]) -> tuple[bool, str | None]:
    """What is done to a text before ``tokenizer.json`` has its say.

    Returns:
        Whether it is mended; 'lower', 'canonicalize' or None.
    """
    kind = kind_of(folder)
    open_clip = read_settings(folder, SETTINGS[2])
    with one_error(f'{folder / SETTINGS[2]} is no config of a CLIP', UserFileError):
        text = dict(open_clip.get('model_cfg', open_clip).get('text_cfg') or {})
        options = dict(text.get('tokenizer_kwargs') or {})
        clean = options.pop('clean', None)
        if options or text.get('tokenizer_mode') or clean not in (
                None, 'whitespace', 'lower', 'canonicalize'):
            raise ValueError('tokenizer_kwargs or tokenizer_mode of text_cfg are not implemented')
    mended = bool(text.get('hf_tokenizer_name') or clean)  # else it has CLIP's own
    if kind == 'SiglipTokenizer':
        return mended, 'canonicalize'
    if clean in ('lower', 'canonicalize'):
        return mended, clean
    lower = config.get('do_lower_case') or kind == 'Siglip2Tokenizer'
    return mended, 'lower' if lower else None


def _canonicalize(text: str) -> str:
    """Lower case without punctuation, as big_vision evaluates the first SigLIP."""
    text = text.replace('_', ' ').translate(str.maketrans('', '', string.punctuation))
    return ' '.join(text.lower().split())
