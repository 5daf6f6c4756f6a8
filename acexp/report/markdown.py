"""A study as Markdown."""

from __future__ import annotations

from acexp.report.study import Study
from acexp.report.table import Table, text
from acexp.report.tables import commands, standing, tables

IN_MARKDOWN = ("results", "pooled", "comparisons", "effects", "interactions", "gradients", "left_out", "versions")


def markdown(study: Study) -> str:
    """The whole report but for its pictures."""
    parts = [f"# {study.title}", f"{len(study.runs.records)} runs: {standing(study)}."]
    if study.comparisons:
        parts.append("\n".join(f"- {comparison.sentence}" for comparison in study.comparisons))
    parts += [_section(table.shown()) for table in tables(study) if table.name in IN_MARKDOWN]
    parts.append("## To repeat\n\n```\n" + "\n".join(commands(study)) + "\n```")
    return "\n\n".join(parts) + "\n"


def _section(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *([_escaped(text(v)) for v in row] for row in table.rows)]
    grid = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(part for part in (f"## {table.title}", table.note, grid) if part)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
