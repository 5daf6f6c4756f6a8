"""Reports on sets of runs: reads them, divides them into cells, compares these with intervals, and writes pages."""

from acexp.report.study import Question, Study, study
from acexp.report.write import PAGE, write

__all__ = ["PAGE", "Question", "Study", "study", "write"]
