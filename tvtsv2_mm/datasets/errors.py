"""What can be wrong with a sample whose file is fine."""

from tvtsv2_mm.video.errors import SampleError


class UnusableSampleError(SampleError):
    """The file is fine, but what is asked of it cannot be had (too short, too few words...)."""
