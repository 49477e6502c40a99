"""Text to CLIP tokens."""

from dataclasses import dataclass

from mmcv.transforms import BaseTransform

from tvtsv2_mm.registry import TRANSFORMS
from tvtsv2_mm.utils.tokenizer import ClipTokenizer


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class TokenizeText(BaseTransform):
    """Turn the texts of a sample into CLIP tokens.

    Required keys: texts (list of K str, from ``SampleTranscriptSegments``) or captions (likewise).

    Added keys: tokens (int64 tensor (K, L)), num_cut_texts (how many of the K are longer than L;
    CutTextHook adds them up), texts (where there were captions only).

    Args:
        context_length: L; longer texts are cut, the end token stays last.

    Raises:
        FileNotFoundError: If CLIP's vocabulary is not installed.
    """

    context_length: int = 77

    def __post_init__(self) -> None:
        self.tokenizer = ClipTokenizer(context_length=self.context_length)

    def transform(self, results: dict) -> dict:
        """Add ``tokens``."""
        texts = results.get('texts') or results.get('captions')
        if not texts:
            raise KeyError('TokenizeText needs the key texts or captions; transcripts become '
                           'texts in SampleTranscriptSegments')
        results['texts'] = list(texts)
        results['tokens'], results['num_cut_texts'] = self.tokenizer.tokenize(results['texts'])
        return results
