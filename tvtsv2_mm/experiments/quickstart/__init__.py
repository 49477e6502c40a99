"""The main job in small, on the embedded data: what ``tools/quickstart.py`` runs."""

from tvtsv2_mm.experiments.quickstart.pipeline import FULL, SMOKE, run_seed
from tvtsv2_mm.experiments.quickstart.report import beats_all, seeds_table, write_report

__all__ = ['FULL', 'SMOKE', 'beats_all', 'run_seed', 'seeds_table', 'write_report']
