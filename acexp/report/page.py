"""The report of a study as one HTML page that needs no network and no other file."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from acexp.report.answer import answer, ranking
from acexp.report.chart import Chart, keys
from acexp.report.charts import charts
from acexp.report.study import Study
from acexp.report.table import Table, sort_key, text
from acexp.report.tables import commands, run_counts

CURVES = "Learning curves"

SECTIONS = {
    "Results": ("results", "pooled"),
    "Search": ("search", "importances"),
    "Comparisons": ("comparisons",),
    CURVES: (),
    "Performance profiles": (),
    "Main effects": ("effects",),
    "Interactions": ("interactions",),
    "What clipping did": ("gradients",),
    "The shared trunk": (),
    "Runs": ("left_out", "runs"),
    "To repeat": ("settings", "versions"),
}
"""The names of the tables under each heading; a chart has its heading in `section`."""

MOST_ROWS = 6
"""The number of experiments up to which the chart of their seeds fits below the first table."""

MOST_PICTURES = 2
"""The number of environments whose learning curves fit beside the first table."""

PLOTLY = "plotly/plotly-basic.min.js"
"""The bundle of plotly.js that draws the charts; docs/decisions/0017 says why it is part of acexp."""

DASH_LENGTHS = {"solid": "none", "dash": "8 3", "dot": "3 3", "dashdot": "8 3 3 3"}
"""The dashes of lines, as SVG describes them."""

LONGEST_WORD = 24
"""The length in characters from which on the texts of a column are broken into several lines."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its charts and tables; each chart comes with its index on the page."""

    title: str
    charts: tuple[tuple[int, Chart], ...]
    tables: tuple[Table, ...]

    @property
    def has_key(self) -> bool:
        """Whether colours in its charts stand for experiments."""
        return any(chart.by_cell for _, chart in self.charts)


def page(study: Study, tables: Sequence[Table], watch: float | None = None) -> str:
    """Return the report of a study and its tables as HTML.

    The browser loads it anew every `watch` seconds, or not at all if it is None.
    """
    drawn = charts(study)
    pictures = [(i, chart) for i, chart in enumerate(drawn) if chart.section == CURVES][:MOST_PICTURES]
    is_single = len(study.grid.environments) == 1
    has_room = is_single and pictures and len(study.grid.cells) <= MOST_ROWS
    seeds = [(i, chart) for i, chart in enumerate(drawn) if chart.section == "Results" and has_room]
    at_top = {i for i, _ in (*pictures, *seeds)}
    known = {table.name: table.shown().without("environment") if is_single else table.shown() for table in tables}
    sections = [
        Section(
            title,
            tuple((i, chart) for i, chart in enumerate(drawn) if chart.section == title and i not in at_top),
            tuple(known[name] for name in names if name in known),
        )
        for title, names in SECTIONS.items()
    ]
    data = [{"data": chart.traces, "layout": chart.layout} for chart in drawn]
    return _template().render(
        study=study,
        run_counts=run_counts(study),
        answer=answer(study),
        ranking=ranking(study),
        pictures=pictures,
        seeds=seeds,
        keys=keys(study),
        dashes=DASH_LENGTHS,
        watch=watch and f"{watch:g}",
        decided=[comparison for comparison in study.comparisons if comparison.is_decided],
        undecided=[comparison for comparison in study.comparisons if not comparison.is_decided],
        column_classes=column_classes,
        sections=[s for s in sections if s.charts or s.tables],
        commands=commands(study),
        text=text,
        sort_key=sort_key,
        charts=compressed(json.dumps(data, separators=(",", ":"))),
        style=_page_file("style.css"),
        script=_page_file("script.js"),
        plotly=compressed(_page_file(PLOTLY)),
    )


def compressed(content: str) -> str:
    """Return a text compressed by gzip, in base64, without the time, so that the same text gives the same bytes."""
    return base64.b64encode(gzip.compress(content.encode(), mtime=0)).decode("ascii")


def column_classes(table: Table) -> list[str]:
    """Return the classes of each column: whether it holds numbers, may be broken into lines, or stays in view."""
    return [_column_class(table, i) for i in range(len(table.columns))]


def _column_class(table: Table, i: int) -> str:
    values = [row[i] for row in table.rows if row[i] is not None]
    words = [value for value in values if isinstance(value, str)]
    classes = {
        "number": len(words) < len(values),
        "long": any(len(word) > LONGEST_WORD for word in words),
        "pin": table.columns[i] == "experiment" or ("experiment" not in table.columns and i == 0),
    }
    return " ".join(name for name, applies in classes.items() if applies)


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.tests["a_number"] = lambda value: value is not None and not isinstance(value, str)
    return environment.from_string(_page_file("page.html"))


def _page_file(name: str) -> str:
    return (files("acexp.report") / "page_files" / name).read_text(encoding="utf-8")
