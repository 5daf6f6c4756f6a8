"""Writing the files of a report."""

from __future__ import annotations

from pathlib import Path

from acexp.report.markdown import markdown
from acexp.report.page import page
from acexp.report.study import Study
from acexp.report.table import to_csv
from acexp.report.tables import NAMES, tables
from acexp.system.files import replace_file

PAGE, MARKDOWN, TABLES = "report.html", "report.md", "report"


def write(directory: Path, study: Study) -> list[Path]:
    """Write page, Markdown and a folder of CSV files; return their paths. Raises OSError if they cannot be written."""
    folder = directory / TABLES
    folder.mkdir(parents=True, exist_ok=True)
    contents = {directory / PAGE: page(study), directory / MARKDOWN: markdown(study)}
    contents |= {folder / f"{table.name}.csv": to_csv(table) for table in tables(study)}
    for stale in {folder / f"{name}.csv" for name in NAMES} - set(contents):
        stale.unlink(missing_ok=True)
    for path, content in contents.items():
        replace_file(path, content.encode())
    return list(contents)
