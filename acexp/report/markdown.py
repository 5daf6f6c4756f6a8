"""The report of a study as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from acexp.report.answer import answer, ranking
from acexp.report.study import Study
from acexp.report.table import Table, to_markdown
from acexp.report.tables import commands, run_counts

LEFT_TO_FILES = ("runs", "curves", "settings")
"""Tables that the Markdown file omits, because they are long or because the commands contain the same settings."""


def markdown(study: Study, tables: Sequence[Table]) -> str:
    """Return the whole report of a study and its tables as Markdown, without charts."""
    best = ranking(study)
    parts = [f"# {study.title}", answer(study), f"{len(study.runs.records)} runs: {run_counts(study)}. {best.note}"]
    parts.append(to_markdown(best.columns, best.rows))
    for table in tables:
        if table.name not in LEFT_TO_FILES:
            parts.append(_section(table.shown()))
        if table.name == "comparisons":
            parts.append("\n".join(f"- {comparison.sentence}" for comparison in study.comparisons))
    parts.append("## To repeat\n\n```\n" + "\n".join(commands(study)) + "\n```")
    return "\n\n".join(parts) + "\n"


def _section(table: Table) -> str:
    parts = (f"## {table.title}", table.note, to_markdown(table.columns, table.rows))
    return "\n\n".join(part for part in parts if part)
