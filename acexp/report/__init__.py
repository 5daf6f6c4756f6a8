"""Layer 5: what a set of runs tells, with intervals: read, divided into cells, compared, written down."""

from acexp.report.study import Question, Study, study
from acexp.report.write import PAGE, write

__all__ = ["PAGE", "Question", "Study", "study", "write"]
