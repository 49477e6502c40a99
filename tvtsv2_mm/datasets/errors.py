"""What can be wrong with one sample. Training skips and counts it; evaluation stops."""


class SampleError(RuntimeError):
    """One sample cannot be used.

    Args:
        path: The video file (or another name of the sample).
        reason: What is wrong, as one short sentence: skipped samples are counted by it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}'


class UnreadableVideoError(SampleError):
    """The video file is missing, damaged, or of a kind that the decoder does not know."""


class UnusableSampleError(SampleError):
    """The file is fine, but what is asked of it cannot be had (too short, too few words...)."""
