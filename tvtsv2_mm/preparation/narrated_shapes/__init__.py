"""Embedded data: short narrated videos of moving shapes, rendered on the spot."""

from tvtsv2_mm.preparation.narrated_shapes.build import NarratedShapesOptions, build_narrated_shapes

__all__ = ['NarratedShapesOptions', 'build_narrated_shapes']
