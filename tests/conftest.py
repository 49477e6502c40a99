"""The mends come first: libraries that a test imports itself (open_clip, torchvision) need them."""

import tvtsv2_mm  # noqa: F401
