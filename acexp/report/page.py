"""The report of a study as one HTML page that needs no network and no other file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from acexp.report.charts import Chart, charts
from acexp.report.study import Study
from acexp.report.table import Table, sort_key, text
from acexp.report.tables import commands, run_counts, tables

SECTIONS = {
    "Results": ("results", "pooled"),
    "Search": ("search", "importances"),
    "Comparisons": ("comparisons",),
    "Learning curves": (),
    "Performance profiles": (),
    "Main effects": ("effects",),
    "Interactions": ("interactions",),
    "What clipping did": ("gradients",),
    "The shared trunk": (),
    "Runs": ("left_out", "runs"),
    "To repeat": ("settings", "versions"),
}
"""The names of the tables under each heading; a chart has its heading in `section`."""


MOST_SENTENCES = 8
"""The number of sentences that the page shows before the reader opens the list of the others."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its charts and tables; each chart comes with its index on the page."""

    title: str
    charts: tuple[tuple[int, Chart], ...]
    tables: tuple[Table, ...]


def page(study: Study) -> str:
    """Return the report as HTML."""
    drawn = charts(study)
    known = {table.name: table.shown() for table in tables(study)}
    sections = [
        Section(
            title,
            tuple((i, chart) for i, chart in enumerate(drawn) if chart.section == title),
            tuple(known[name] for name in names if name in known),
        )
        for title, names in SECTIONS.items()
    ]
    data = [{"data": chart.traces, "layout": chart.layout} for chart in drawn]
    return _template().render(
        study=study,
        run_counts=run_counts(study),
        sentences=sorted(study.comparisons, key=lambda comparison: not comparison.is_decided),
        n_sentences=MOST_SENTENCES,
        sections=[s for s in sections if s.charts or s.tables],
        commands=commands(study),
        text=text,
        sort_key=sort_key,
        # "</script>" in a name would end the script element.
        charts=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        style=_page_file("style.css"),
        script=_page_file("script.js"),
        plotly=(files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8"),
    )


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.tests["a_number"] = lambda value: value is not None and not isinstance(value, str)
    return environment.from_string(_page_file("page.html"))


def _page_file(name: str) -> str:
    return (files("acexp.report") / "page_files" / name).read_text(encoding="utf-8")
