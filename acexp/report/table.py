"""Tables: their content, and its form in Markdown, on the page and in CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from acexp.core.markdown import grid
from acexp.core.numbers import NOTHING, number
from acexp.report.inference import Interval
from acexp.report.scores import Estimate

Value = str | int | float | Interval | Estimate | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a heading for each column.

    Attributes:
        name: the name of its CSV file, without the suffix.
        title: the title above it.
        note: what readers must know to understand it; may be empty.
        columns, rows: the headings, and the values of each row.
        for_files: the columns that only the CSV file has, because the report shows them elsewhere.
    """

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    for_files: tuple[str, ...] = ()

    def shown(self) -> Table:
        """Return the table without the columns that are for files only."""
        kept = [i for i, column in enumerate(self.columns) if column not in self.for_files]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in kept), rows=rows)

    def without(self, name: str) -> Table:
        """Return the table without a column."""
        return replace(self, for_files=(*self.for_files, name)).shown()


def text(value: Value) -> str:
    """Return a value as readers see it."""
    match value:
        case None:
            return NOTHING
        case str():
            return value
        case int():
            return f"{value:,}"
        case float():
            return number(value)
        case Interval():
            return f"[{number(value.low)}, {number(value.high)}]"
        case Estimate():
            return f"{number(value.value)} {text(value.interval)}" if value.interval else number(value.value)


def sort_key(value: Value) -> str | float | None:
    """Return the key that a table is sorted by; None goes last."""
    match value:
        case Estimate():
            return value.value
        case Interval():
            return value.low
    return value


def to_markdown(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """Return a Markdown table, with values as readers see them."""
    return grid(columns, ([text(value) for value in row] for row in rows))


def to_csv(table: Table) -> str:
    """Return the table as CSV, with all digits and an estimate in three columns."""
    is_estimate = [any(isinstance(row[i], Estimate) for row in table.rows) for i in range(len(table.columns))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    headings = zip(table.columns, is_estimate, strict=True)
    writer.writerow(_flat((name, f"{name} low", f"{name} high") if e else name for name, e in headings))
    for row in table.rows:
        writer.writerow(_flat(_digits(value, e) for value, e in zip(row, is_estimate, strict=True)))
    return out.getvalue()


def _flat(cells: Iterator[str | tuple[str, ...]]) -> list[str]:
    return [part for cell in cells for part in (cell if isinstance(cell, tuple) else (cell,))]


def _digits(value: Value, is_estimate: bool) -> str | tuple[str, ...]:
    if is_estimate:
        if not isinstance(value, Estimate):
            return "", "", ""
        inside = value.interval
        return (repr(value.value), repr(inside.low), repr(inside.high)) if inside else (repr(value.value), "", "")
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)
