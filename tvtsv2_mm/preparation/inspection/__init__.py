"""A look at an annotation file before training: figures, plots, frames with their words."""

from tvtsv2_mm.preparation.inspection.page import write_page
from tvtsv2_mm.preparation.inspection.survey import Survey, survey_file

__all__ = ['Survey', 'survey_file', 'write_page']
