"""What is looked for as a vector: texts, videos and stills, and sums of them."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tvtsv2_mm.apis.clips import Video
from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.utils.errors import UserFileError
from tvtsv2_mm.video.base_reader import VideoReader
from tvtsv2_mm.video.header import MOST_PIXELS

# Of a query that is not wanted: texts have much in common, which would be taken away with it.
UNWANTED_WEIGHT = -0.5

_STILLS = ('JPEG', 'PNG', 'WEBP', 'BMP')


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for: the weighted sum of texts and examples.

    Attributes:
        name: how it is told.
        texts: each with its weight.
        examples: videos and stills, each with its weight.
    """

    name: str
    texts: Sequence[tuple[str, float]] = ()
    examples: Sequence[tuple[Video, float]] = ()

    @property
    def is_told(self) -> bool:
        """Whether a text is looked for: else it is not searched in what is said."""
        return any(weight > 0 for _, weight in self.texts)


def build_queries(texts: Sequence[str], like: Sequence[str] = (), unwanted: Sequence[str] = (),
                  weights: Sequence[float] | None = None) -> list[Query]:
    """A query for each text and each file that is wanted, or the weighted sum of all as one.

    Args:
        texts: what is looked for.
        like: files of videos and stills, looked for too.
        unwanted: texts, of each of which half is taken away from each query.
        weights: of the sum: of the texts, then of the files; none are 1 each. None: no sum.

    Raises:
        ValueError: nothing is looked for, or there are not as many weights.
    """
    wanted = [*texts, *like]
    if not wanted:
        raise ValueError('there is nothing to look for: give a text, before --like and --not, or a '
                         'file (--like)')
    if not all(text.strip() for text in (*texts, *unwanted)):
        raise ValueError('a text is empty')
    less = [(text, UNWANTED_WEIGHT) for text in unwanted]
    if weights is None:
        return [*(Query(name=text, texts=[(text, 1.0), *less]) for text in texts),
                *(Query(name=file, texts=less, examples=[(file, 1.0)]) for file in like)]
    weights = list(weights) or [1.0] * len(wanted)
    if len(weights) != len(wanted):
        raise ValueError(f'{len(weights)} weights are given for {len(wanted)} texts and files')
    return [Query(name=' '.join(f'{weight:+g} {part}' for part, weight in zip(
        wanted, weights, strict=True)), examples=list(zip(like, weights[len(texts):], strict=True)),
        texts=[*zip(texts, weights[:len(texts)], strict=True), *less])]


def embed_queries(inferencer: TVTSv2Inferencer, queries: Sequence[Query]) -> np.ndarray:
    """Embed queries: M of them give float32 (M, E), l2-normalised.

    Raises:
        VideoError, UserFileError: as of :func:`embed_examples`.
        ValueError: a text is no Unicode, or the weights leave nothing of a query.
    """
    texts = [text for query in queries for text, _ in query.texts]
    examples = [example for query in queries for example, _ in query.examples]
    of_texts = iter(inferencer.embed_texts(texts) if texts else ())
    of_examples = iter(embed_examples(inferencer, examples) if examples else ())
    return np.stack([weighted_sum(
        np.stack([*islice(of_texts, len(query.texts)), *islice(of_examples, len(query.examples))]),
        [weight for _, weight in (*query.texts, *query.examples)]) for query in queries])


def embed_examples(inferencer: TVTSv2Inferencer, examples: Sequence[Video]) -> np.ndarray:
    """Embed videos and stills; a still is a clip that stands still.

    Args:
        inferencer: the model.
        examples: paths, addresses or bytes; of files that are a JPEG, PNG, WebP or BMP picture, or
            a video.

    Returns:
        float32 (N, E), l2-normalised.

    Raises:
        VideoError: one is neither.
        UserFileError: a picture is damaged, or too large.
    """
    num_frames = inferencer.num_frames
    clips: list[Video] = []
    for example in examples:
        still = read_still(example)
        clips.append(example if still is None else np.broadcast_to(
            still, (num_frames, *still.shape)))
    return inferencer.embed_videos(clips, batch_size=1)


def read_still(example: Video) -> np.ndarray | None:
    """Read a picture, turned as it asks for: uint8 (H, W, 3), RGB; None of what is none."""
    if isinstance(example, np.ndarray | VideoReader):
        return None
    is_bytes = isinstance(example, bytes)
    name = 'the picture' if is_bytes else os.fspath(example)
    if not is_bytes and not os.path.isfile(name):
        return None  # an address, or missing: for the reader of videos to say
    try:
        picture = Image.open(io.BytesIO(example) if is_bytes else name, formats=_STILLS)
    except (UnidentifiedImageError, OSError):
        return None
    except Image.DecompressionBombError as error:
        raise UserFileError(f'{name}: {error}') from None
    with picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise UserFileError(f'{name}: a picture of {picture.height}x{picture.width} pixels')
        try:
            return np.array(ImageOps.exif_transpose(picture).convert('RGB'))
        except Exception as error:  # what damaged bytes make of it
            raise UserFileError(f'{name}: the picture is damaged ({error})') from error


def weighted_sum(embeds: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """The direction of a weighted sum of N embeddings: float32 (E,), l2-normalised.

    Raises:
        ValueError: nothing is left, or a weight is out of range.
    """
    if not all(abs(weight) <= 1000 for weight in weights):  # NaN neither
        raise ValueError(f'weights go from -1000 to 1000, got {[*map(float, weights)]}')
    total = np.asarray(weights, np.float32) @ embeds
    length = float(np.linalg.norm(total))
    if not 1e-4 < length < float('inf'):
        raise ValueError(f'the weights {[*map(float, weights)]} leave nothing of a query')
    return total / np.float32(length)
