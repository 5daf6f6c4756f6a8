"""Traces of charts, which are lines, points and bars, as plain data for Plotly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from acexp.report.cells import Cell
from acexp.report.curves import Curves
from acexp.report.scores import Estimate

Trace = dict[str, Any]

# Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7b6fd0")
DASHES = ("solid", "dash", "dot", "dashdot")


def curve(cell: Cell, curves: Curves, colour: str, dash: str, opacity: float) -> list[Trace]:
    """Return the traces of a cell's curves: each run, of this opacity, the interval of the mean, and the mean."""
    if not len(curves.seeds):
        return []
    steps = rounded(curves.steps)
    shared = {"legendgroup": cell.name, "mode": "lines"}
    runs = {
        **shared,
        "x": joined(steps for _ in curves.seeds),
        "y": joined(rounded(row) for row in curves.values),
        "text": joined([f"seed {each}"] * len(steps) for each in curves.seeds),
        "hovertemplate": "%{text}: %{y:,.4~g} at %{x:,}<extra></extra>",
        "line": {"color": colour, "width": 1},
        "opacity": opacity,
        "showlegend": False,
    }
    traces = [runs]
    band = curves.band
    if band is not None:
        edge = {**shared, "x": steps, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        traces.append({**edge, "y": rounded(band[0])})
        traces.append({**edge, "y": rounded(band[1]), "fill": "tonexty", "fillcolor": f"{colour}30"})
    traces.append(line_through(cell.name, steps, rounded(curves.mean), colour, dash))
    return traces


def unfinished(cell: Cell, curves: Curves, colour: str) -> Trace:
    """Return the trace of a run that is being trained, which is dotted."""
    return {
        "legendgroup": cell.name,
        "mode": "lines",
        "x": rounded(curves.steps),
        "y": rounded(curves.values[0]),
        "hovertemplate": f"seed {curves.seeds[0]}, in training: %{{y:,.4~g}} at %{{x:,}}<extra>{cell.name}</extra>",
        "line": {"color": colour, "width": 1.5, "dash": "dot"},
        "opacity": 0.8,
    }


def line_through(name: str, x: list[float | None], y: list[float | None], colour: str, dash: str) -> Trace:
    """Return a line through points, with its name in the legend."""
    return {
        "x": x,
        "y": y,
        "name": name,
        "legendgroup": name,
        "mode": "lines",
        "line": {"color": colour, "dash": dash, "width": 2},
        "hovertemplate": "%{y:,.4~g} at %{x:,.4~g}",
    }


def with_bars(axis: str, estimates: Sequence[Estimate]) -> Trace:
    """Return points along an axis, with their intervals as error bars."""
    values = [estimate.value for estimate in estimates]
    intervals = [estimate.interval or (estimate.value, estimate.value) for estimate in estimates]
    bars = {
        "type": "data",
        "symmetric": False,
        "array": rounded(high - value for value, (_, high) in zip(values, intervals, strict=True)),
        "arrayminus": rounded(value - low for value, (low, _) in zip(values, intervals, strict=True)),
    }
    return {axis: rounded(values), f"error_{axis}": bars}


def axes(x: str, y: str) -> dict[str, Any]:
    """Return a layout with the titles of both axes."""
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}


def colour_of(i: int) -> str:
    """Return the colour of the i-th line."""
    return COLOURS[i % len(COLOURS)]


def dash_of(i: int) -> str:
    """Return the dash pattern of the i-th line, which changes when the colours repeat."""
    return DASHES[i // len(COLOURS) % len(DASHES)]


def rounded(values: Iterable[float] | np.ndarray[Any, Any]) -> list[float | None]:
    """Return values with six digits, which is more than a chart shows; a value that is not finite becomes a gap."""
    return [float(f"{x:.6g}") if math.isfinite(x) else None for x in values]


def joined(parts: Iterable[list[Any]]) -> list[Any]:
    """Return several lines as one, with gaps between them."""
    return [value for part in parts for value in (*part, None)]
