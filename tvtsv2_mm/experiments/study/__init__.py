"""The paper's claims, each by trainings that differ in it alone: what ``tools/study.py`` runs."""

from tvtsv2_mm.experiments.study.report import write_report, write_search
from tvtsv2_mm.experiments.study.runs import FULL, SMOKE, run_part, search_rates
from tvtsv2_mm.experiments.study.settings import PARTS, Part, Setting

__all__ = ['FULL', 'PARTS', 'SMOKE', 'Part', 'Setting', 'run_part', 'search_rates',
           'write_report', 'write_search']
