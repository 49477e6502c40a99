"""Where an extraction spends its time: in the model, in the decoder, or in python between them."""

import time
from cProfile import Profile
from inspect import unwrap

from tvtsv2_mm.apis.inferencer import TVTSv2Inferencer
from tvtsv2_mm.utils.extras import needed_for
from tvtsv2_mm.video.opening import open_video

with needed_for('reading videos'):
    from tvtsv2_mm.video.pyav_reader import PyAVReader
    from tvtsv2_mm.video.sequential_reader import SequentialReader

_FUNCTIONS = {
    'model': (TVTSv2Inferencer.forward, ),
    'decoder': (open_video, *(getattr(reader, step) for step in ('get_frames', 'close')
                              for reader in (PyAVReader, SequentialReader))),
}


class ExtractionProfile(Profile):
    """Profiles what runs inside it; decoding must run in the same process.

    Python's profiler slows python down, and nothing in C: what is 'between' is an upper bound.
    """

    def __enter__(self) -> 'ExtractionProfile':
        self._start = time.perf_counter()
        self.enable()
        return self

    def __exit__(self, *error: object) -> None:
        self.disable()
        self._seconds = time.perf_counter() - self._start

    def seconds(self) -> dict[str, float]:
        """Seconds spent in the 'model' (its copies to and from a GPU too), in the 'decoder', and
        'between' them.
        """
        spent = {entry.code: entry.totaltime for entry in self.getstats()}
        found = {place: sum(spent.get(unwrap(function).__code__, 0.0) for function in functions)
                 for place, functions in _FUNCTIONS.items()}
        return found | dict(between=self._seconds - sum(found.values()))
