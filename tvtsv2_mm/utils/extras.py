"""Packages that only some parts need, and the extra of this package that brings each."""

from collections.abc import Generator
from contextlib import contextmanager

# Of each extra (requirements/<extra>.txt): the module that is imported, and its package.
EXTRAS = {
    'video': {
        'av': 'av',
        'decord': 'decord',
        'matplotlib': 'matplotlib',
        'open_clip': 'open_clip_torch',
    },
    'corpus': {
        'faiss': 'faiss-cpu',
        'ftfy': 'ftfy',
        'ijson': 'ijson',
        'py3langid': 'py3langid',
        'pyarrow': 'pyarrow',
        'pysubs2': 'pysubs2',
        'rapidfuzz': 'rapidfuzz',
        'ray': 'ray',
        'sklearn': 'scikit-learn',
        'webdataset': 'webdataset',
    },
    'weights': {'gdown': 'gdown'},
    'finetune': {'peft': 'peft'},
    'export': {name: name for name in ('onnx', 'onnxruntime', 'onnxscript')},
    'mteb': {
        'datasets': 'datasets',
        'mteb': 'mteb',
        'sentence_transformers': 'sentence-transformers',
    },
    'speech': {'faster_whisper': 'faster-whisper'},
    'page': {name: name for name in ('fastapi', 'uvicorn')},
}


class MissingPackageError(ImportError, ValueError):
    """A package of an extra is missing; the message says what needs it and how to get it."""


@contextmanager
def needed_for(purpose: str) -> Generator[None]:
    """Name purpose, package and extra where what is imported inside is not installed.

    Raises:
        MissingPackageError: instead of a ModuleNotFoundError about a package of an extra.

    Examples:
        >>> with needed_for('reading videos'):
        ...     raise ModuleNotFoundError(name='av.video')
        Traceback (most recent call last):
        ...
        MissingPackageError: reading videos needs av: pip install 'tvtsv2_mm[video]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or '').partition('.')[0]
        for extra, packages in EXTRAS.items():
            if module in packages:
                raise MissingPackageError(f"{purpose} needs {packages[module]}: "
                                          f"pip install 'tvtsv2_mm[{extra}]'") from error
        raise
