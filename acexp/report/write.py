"""Writing the files of a report."""

from __future__ import annotations

from pathlib import Path

from acexp.report.markdown import markdown
from acexp.report.page import page
from acexp.report.study import Study
from acexp.report.table import to_csv
from acexp.report.tables import NAMES, tables
from acexp.system.files import refuse_foreign, replace_file

PAGE, MARKDOWN, TABLES = "report.html", "report.md", "report"
MARK = ": acexp report</title>"
"""What the page says if acexp has written it. It is written first, so the other files are acexp's where it is."""


def has_report(directory: Path) -> bool:
    """Return True if acexp has written a report into the directory."""
    try:
        return MARK in (directory / PAGE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def write(directory: Path, study: Study, watch: float | None = None) -> list[Path]:
    """Write page, Markdown and a folder of CSV files; return their paths.

    Raises UserError if there are such files that are not a report's, and OSError if they cannot be written.
    The open page loads itself anew every `watch` seconds, or not at all if it is None.
    """
    folder = directory / TABLES
    if not has_report(directory):
        files = (directory / PAGE, directory / MARKDOWN, *(folder / f"{name}.csv" for name in NAMES))
        refuse_foreign(dict.fromkeys(files, MARK))
    folder.mkdir(parents=True, exist_ok=True)
    made = tables(study)
    contents = {directory / PAGE: page(study, made, watch), directory / MARKDOWN: markdown(study, made)}
    contents |= {folder / f"{table.name}.csv": to_csv(table) for table in made}
    for stale in {folder / f"{name}.csv" for name in NAMES} - set(contents):
        stale.unlink(missing_ok=True)
    for path, content in contents.items():
        replace_file(path, content.encode())
    return list(contents)
