"""The charts of a study as files for papers and slides, drawn by matplotlib from the data that the page draws."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acexp.report.chart import Chart
from acexp.report.charts import charts
from acexp.report.records import Floats
from acexp.report.study import Study
from acexp.report.traces import Trace
from acexp.system.files import replace_file
from acexp.system.packages import require_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("svg", "png")

DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
SYMBOLS: Mapping[object, str] = {"circle": "o", "diamond": "D", "x": "x", 0: "o", 1: "s", 2: "D", 3: "P"}

WIDTH, PIXELS_PER_INCH, LEGEND_LINE = 7.0, 100.0, 18.0
"""The width in inches, the pixels of the page that become an inch, and the height of a line of the legend in pixels."""


def write_figures(directory: Path, study: Study, suffix: str) -> list[Path]:
    """Write every chart as a file of one of FORMATS; return their paths.

    The same study gives the same bytes. Raises UserError if matplotlib is not installed, OSError if a file cannot be
    written.
    """
    require_package("matplotlib", "notebook", "Figures need")
    directory.mkdir(parents=True, exist_ok=True)
    contents = {}
    for chart in charts(study):
        name = re.sub(r"[^\w.+-]+", "-", f"{chart.section}, {chart.title}").strip("-").lower()
        contents[directory / f"{name}.{suffix}"] = _drawn(chart, suffix)
    for path, content in contents.items():
        replace_file(path, content)
    return list(contents)


def _drawn(chart: Chart, suffix: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = dict.fromkeys(str(trace["name"]) for trace in chart.traces if "name" in trace)
    height = (chart.height + LEGEND_LINE * len(names)) / PIXELS_PER_INCH
    # Ids in SVG files are random, and the date is in them, unless both are set.
    with mpl.rc_context({"svg.hashsalt": "acexp", "svg.fonttype": "none", "font.size": 9.0}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        previous: Trace = {}
        for trace in chart.traces:
            _draw(axes, trace, previous, names)
            previous = trace
        _lay_out(axes, chart.layout)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower left", frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format=suffix, dpi=200, metadata={"Date": None} if suffix == "svg" else None)
    return file.getvalue()


def _draw(axes: Axes, trace: Trace, previous: Trace, names: dict[str, None]) -> None:
    """Draw one trace; a filled one reaches down to the previous one. `names` loses those that the legend has."""
    x, y = _values(trace["x"]), _values(trace["y"])
    line, marker = trace.get("line", {}), trace.get("marker", {})
    name = str(trace.get("name", ""))
    label = name if name in names else None
    names.pop(name, None)
    if trace.get("fill"):
        axes.fill_between(x, _values(previous["y"]), y, color=trace["fillcolor"], linewidth=0.0)
        return
    for axis in ("x", "y"):
        if f"error_{axis}" in trace:
            size = np.array([trace[f"error_{axis}"][end] for end in ("arrayminus", "array")])
            colour = line.get("color", marker.get("color"))
            ends = {"xerr": size if axis == "x" else None, "yerr": size if axis == "y" else None}
            axes.errorbar(x, y, ends["yerr"], ends["xerr"], fmt="none", ecolor=colour, elinewidth=1.5, capsize=3.0)
    if "lines" in trace["mode"] and line.get("width", 2.0):
        axes.plot(
            x,
            y,
            color=line.get("color"),
            linestyle=DASHES[line.get("dash", "solid")],
            linewidth=0.8 * line.get("width", 2.0),
            drawstyle="steps-post" if line.get("shape") == "hv" else "default",
            alpha=trace.get("opacity"),
            label=label,
        )
        label = None
    if "markers" in trace["mode"]:
        colours, symbols = marker.get("color", line.get("color")), marker.get("symbol", "circle")
        each = {"s": 0.5 * marker.get("size", 8.0) ** 2, "alpha": marker.get("opacity")}
        for symbol in dict.fromkeys(symbols) if isinstance(symbols, list) else (symbols,):
            at = np.array([s == symbol for s in symbols]) if isinstance(symbols, list) else np.ones(len(x), bool)
            of_symbol = np.array(colours)[at].tolist() if isinstance(colours, list) else colours
            axes.scatter(x[at], y[at], color=of_symbol, marker=SYMBOLS.get(symbol, "o"), label=label, **each)


def _values(values: Sequence[Any]) -> Floats:
    """Return values as an array, words as they are and gaps as NaN."""
    is_text = any(isinstance(value, str) for value in values)
    return np.array(values if is_text else [np.nan if value is None else value for value in values])


def _lay_out(axes: Axes, layout: Mapping[str, Any]) -> None:
    from matplotlib.ticker import PercentFormatter

    horizontal, vertical = layout.get("xaxis", {}), layout.get("yaxis", {})
    axes.set_xlabel(horizontal.get("title", {}).get("text", ""))
    axes.set_ylabel(vertical.get("title", {}).get("text", ""))
    for axis, set_scale, set_limits in (
        (horizontal, axes.set_xscale, axes.set_xlim),
        (vertical, axes.set_yscale, axes.set_ylim),
    ):
        if axis.get("type") == "log":
            set_scale("log")
        if "range" in axis:
            set_limits(*axis["range"])
    if horizontal.get("tickformat") == ".0%":
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    for note in layout.get("annotations", ()):
        words = note["text"].replace("<br>", "\n")
        axes.annotate(words, (0.0, note["y"]), xycoords=("axes fraction", "data"), va="top", fontsize=8.0)
    axes.yaxis.set_visible(vertical.get("visible", True))
    axes.spines[["top", "right"]].set_visible(False)
