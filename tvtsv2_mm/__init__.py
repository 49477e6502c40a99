"""TVTSv2 (arXiv 2305.14173) for the OpenMMLab ecosystem."""

from tvtsv2_mm import compat

__version__ = '0.1.0'

compat.apply()
