"""Text to tokens."""

from dataclasses import dataclass

from mmcv.transforms import BaseTransform

from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.utils.huggingface_tokenizer import build_tokenizer


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class TokenizeText(BaseTransform):
    """Turn the texts of a sample into the tokens that the text encoder reads.

    Required keys: texts (list of K str, from ``SampleTranscriptSegments``) or captions (likewise).

    Added keys: tokens (int64 tensor (K, L)), num_cut_texts (how many of the K are longer than L;
    CutTextHook adds them up), vocabulary (whose tokens they are, which the model checks), texts
    (where there were captions only).

    Args:
        context_length: L; longer texts are cut, the end token stays last.
        tokenizer: 'clip', or a folder with ``tokenizer.json``; see
            :func:`~tvtsv2_mm.utils.huggingface_tokenizer.build_tokenizer`.

    Raises:
        FileNotFoundError: If CLIP's vocabulary is not installed, or the folder has no such file.
    """

    context_length: int = 77
    tokenizer: str = 'clip'

    def __post_init__(self) -> None:
        self._tokenizer = build_tokenizer(self.tokenizer, self.context_length)

    def transform(self, results: dict) -> dict:
        """Add ``tokens``."""
        texts = results.get('texts') or results.get('captions')
        if not texts:
            raise KeyError('TokenizeText needs the key texts or captions; transcripts become '
                           'texts in SampleTranscriptSegments')
        results['texts'] = list(texts)
        results['tokens'], results['num_cut_texts'] = self._tokenizer.tokenize(results['texts'])
        results['vocabulary'] = self._tokenizer.vocabulary
        return results
