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


def write(directory: Path, study: Study, watch: float | None = None) -> list[Path]:
    """Write page, Markdown and a folder of CSV files; return their paths. Raises OSError if they cannot be written.

    The open page loads itself anew every `watch` seconds, or not at all if it is None.
    """
    folder = directory / TABLES
    folder.mkdir(parents=True, exist_ok=True)
    contents = {directory / PAGE: page(study, watch), directory / MARKDOWN: markdown(study)}
    contents |= {folder / f"{table.name}.csv": to_csv(table) for table in tables(study)}
    for stale in {folder / f"{name}.csv" for name in NAMES} - set(contents):
        stale.unlink(missing_ok=True)
    for path, content in contents.items():
        replace_file(path, content.encode())
    return list(contents)
