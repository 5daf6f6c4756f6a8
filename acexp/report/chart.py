"""One chart of a report, and what several charts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acexp.report.curves import Curves
from acexp.report.study import Study
from acexp.report.traces import Trace, colour_of, curve, dash_of

HEIGHT = 320
"""The height in pixels of charts without rows."""

MANY_RUNS = 24
"""The number of runs from which on each is drawn fainter, so that means can be seen among them."""

STEPS = "env steps"

LOG_AXIS_RATIO = 30
"""The ratio of the largest to the smallest value from which on an axis is logarithmic; its square has many ticks."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of the report.

    Attributes:
        section: the heading that it is shown under.
        title, caption: the texts above and below it.
        traces, layout: Plotly's description of it.
        height: its height in pixels.
        by_cell: whether its colours stand for experiments, which the key beside the charts explains.
        cut: the axis whose range leaves out outliers, `xaxis` or `yaxis`; empty if all values are in range.
    """

    section: str
    title: str
    caption: str
    traces: tuple[Trace, ...]
    layout: dict[str, Any]
    height: int = HEIGHT
    by_cell: bool = True
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """What an experiment looks like in every chart: its colour, and the dashes of its line."""

    name: str
    colour: str
    dash: str


def keys(study: Study) -> dict[str, Key]:
    """Return the key of every experiment by its name, which is the same in all environments."""
    names = dict.fromkeys(cell.name for cell in study.grid)
    return {name: Key(name, colour_of(i), dash_of(i)) for i, name in enumerate(names)}


def log_if_wide(values: Sequence[float]) -> dict[str, Any]:
    """Return the part of an axis that makes it logarithmic if its values are far apart, with ticks at 1, 2 and 5."""
    lowest, highest = min(values, default=0.0), max(values, default=0.0)
    if lowest <= 0 or highest < LOG_AXIS_RATIO * lowest:
        return {}
    return {"type": "log", "dtick": "D2" if highest < LOG_AXIS_RATIO**2 * lowest else 1}


def curves_of(study: Study, at: Sequence[int], of_cell: Sequence[Curves]) -> list[Trace]:
    """Return the traces of the curves of some cells."""
    opacity = 0.4 if sum(len(of_cell[i].seeds) for i in at) < MANY_RUNS else 0.15
    traces, key_of = [], keys(study)
    for i in at:
        key = key_of[study.grid.cells[i].name]
        traces += curve(study.grid.cells[i], of_cell[i], key.colour, key.dash, opacity)
    return traces
