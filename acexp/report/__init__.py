"""Reports on sets of runs: reads them, divides them into cells, compares these with intervals, and writes pages."""

from acexp.report.answer import answer, ranking
from acexp.report.records import common_folder
from acexp.report.study import Question, Study, study
from acexp.report.write import PAGE, write

__all__ = ["PAGE", "Question", "Study", "answer", "common_folder", "ranking", "study", "write"]
