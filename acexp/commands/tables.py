"""Tables on the console, which no width of a terminal cuts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDEST = 10_000
"""A width in characters that no table reaches."""


def print_table(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str], n_names: int = 1
) -> None:
    """Print a table; in a terminal that is too narrow for it, each row in lines of its own, the name first.

    `right` are the headings of the columns whose values are aligned to the right. The first `n_names` columns name the
    row.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in right else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    if Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum <= console.width:
        console.print(table)
        return
    for row in rows:
        console.print(", ".join(row[:n_names]), markup=False)
        facts = [_fact(heading, value) for heading, value in zip(headings, row, strict=True) if value][n_names:]
        if facts:
            console.print(Padding(Text("; ".join(facts)), (0, 0, 0, 2)), soft_wrap=False)


def _fact(heading: str, value: str) -> str:
    """Return a value with its heading, unless it begins with that: `mean: 5.1 [4.2, 6.0]`, `n = 10`."""
    return value if value.startswith(f"{heading} ") else f"{heading}: {value}"


def print_sentences(console: Console, sentences: str) -> None:
    """Print sentences, wrapped between words; commands and paths are not wrapped, so that they can be copied whole."""
    console.print(sentences, markup=False, soft_wrap=False)
