"""Hooks."""

from tvtsv2_mm.engine.hooks.skipped_sample_hook import SkippedSampleHook

__all__ = ['SkippedSampleHook']
