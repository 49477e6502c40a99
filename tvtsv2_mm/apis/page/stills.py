"""Small pictures of moments, decoded where a crash or a hang costs nothing but the picture."""

import io

import numpy as np
from PIL import Image

from tvtsv2_mm.apis.page.errors import PageError
from tvtsv2_mm.apis.page.files import VideoFolder
from tvtsv2_mm.apis.page.work import Crew, Kept
from tvtsv2_mm.video.errors import DecodingTimeoutError, SampleError
from tvtsv2_mm.video.spawned_reader import DecodingPool

SIDE = 360  # pixels of the longer side
_DEADLINE_S = 10.0
_KEPT_BYTES = 64 * 2**20
_ANSWER = bytes | str  # why it cannot be read is kept too: to find it out takes as long again


class Stills:
    """Pictures of moments, of which the last ones are kept in memory.

    Args:
        videos: where the videos lie.
        decoders: that read them.
    """

    def __init__(self, videos: VideoFolder, decoders: DecodingPool) -> None:
        self._videos, self._decoders = videos, decoders
        self._crew = Crew(2, waiting=128)
        self._kept: Kept[tuple[str, str, int], _ANSWER] = Kept(_KEPT_BYTES, _size_of)

    async def get(self, name: str, seconds: float) -> tuple[bytes, str]:
        """A JPEG of the frame that is shown at a time, and its tag, quoted as an ETag is.

        Raises:
            PageError: the video is not there, or cannot be read.
        """
        tenth = round(10 * seconds)
        with self._videos.opened(name) as file:
            tag = f'{file.tag[:-1]}-{tenth}"'
            key = name, file.tag, tenth
            found = self._kept.get(key)
            if found is None:
                found = await self._crew.run(self._make, file.path, tenth / 10)
                self._kept.put(key, found)
        if isinstance(found, str):
            raise PageError(422, f'the video cannot be read: {found}')
        return found, tag

    def _make(self, path: str, seconds: float) -> _ANSWER:
        try:
            with self._decoders.opened(path, deadline=_DEADLINE_S, square_pixels=True) as reader:
                shown = int(np.searchsorted(reader.frame_starts, seconds + 1e-6, 'right')) - 1
                [frame] = reader.get_frames([max(shown, 0)])
        except DecodingTimeoutError:  # another time it may not: not kept
            raise PageError(503, 'the picture took too long: try again later') from None
        except SampleError as error:
            return error.reason
        picture = Image.fromarray(frame)
        picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
        file = io.BytesIO()
        picture.save(file, 'JPEG', quality=80)
        return file.getvalue()

    def start(self) -> None:
        """Have a decoder started, by a thread of ours: it ends with the thread that started it."""
        self._crew.begin(self._decoders.start)

    def close(self) -> None:
        """Make no more."""
        self._crew.close()


def _size_of(answer: _ANSWER) -> int:
    return 500 + len(answer)
