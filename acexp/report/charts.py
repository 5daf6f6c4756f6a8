"""The charts of a study, as plain data for Plotly."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from acexp.metrics import tags
from acexp.report.answer import order
from acexp.report.chart import STEPS, Chart, curves_of, keys, log_if_wide
from acexp.report.curves import profile_range, usual_range
from acexp.report.gradient_charts import clip_shares, cosine, norms_of
from acexp.report.inference import FEWEST_FOR_MEANS, FEWEST_FOR_RESAMPLING, profile
from acexp.report.searches import SearchRecord
from acexp.report.study import Study
from acexp.report.table import text
from acexp.report.traces import (
    Trace,
    axes,
    colour_of,
    dash_of,
    line_through,
    rounded,
    unfinished,
    with_bars,
)

MOST_PROFILES = 16
"""The largest number of cells whose profiles are drawn, as more could not be distinguished."""

LONGEST_LINE = 40
"""The length in characters up to which a name above its row fits into one line on a phone."""

LINE_HEIGHT, MARKS_HEIGHT = 16, 36
"""The heights in pixels of a line of a name above its row, and of the row's marks with the space around them."""

BELOW = 9
"""The distance in pixels of a row's dots from its bar, so that the bar hides none of them."""

REACH_OF_CURVES, REACH_OF_SCORES = 0.5, 1.5
"""How far a run may lie outside of the usual range, in widths of it, before an axis leaves it out.

A curve covers what was learned, so that half of this is far; for scores it is the fence of a box plot.
"""

CURVE_AXES = {tags.EPISODE_RETURN: "return of training episodes", tags.EVALUATED_RETURN: "return of evaluations"}


def charts(study: Study) -> list[Chart]:
    """Return all charts of a study, without empty ones."""
    made: list[Chart] = [chart for search in study.searches for chart in _search(search)]
    for environment in study.grid.environments:
        at = [i for i, cell in enumerate(study.grid) if cell.environment == environment]
        made += [
            _forest(study, environment, at),
            _learning(study, environment, at),
            _profiles(study, environment, at),
            _main_effects(study, environment),
            *_interactions(study, environment),
            *norms_of(study, environment, at),
            *clip_shares(study, environment, at),
            cosine(study, environment, at),
        ]
    return [_with_room(chart) for chart in made if chart.traces]


def _with_room(chart: Chart) -> Chart:
    """Return the chart without a legend if its colours are in the key, else tall enough for one name per line."""
    if chart.by_cell:
        return replace(chart, layout={"showlegend": False, **chart.layout})
    n_names = sum("name" in trace and trace.get("showlegend", True) for trace in chart.traces)
    return replace(chart, height=chart.height + 19 * n_names)


def _within(chart: Chart, axis: str, usual: tuple[float, float] | None) -> Chart:
    """Return the chart with an axis that shows the usual range and a little more; unchanged if that is all."""
    if usual is None:
        return chart
    low, high = usual
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    shown = {**chart.layout[axis], "range": rounded([low - margin, high + margin])}
    return replace(chart, layout={**chart.layout, axis: shown}, cut=axis)


def _in_rows(names: Sequence[str]) -> tuple[list[float], dict[str, Any], int]:
    """Return a row for each name: where its marks are, the layout that writes names above them, and the height.

    The vertical axis counts pixels, so that a name never lies over marks however narrow the chart is.
    """
    at, notes, top = [], [], 0
    for name in names:
        lines = textwrap.wrap(name, LONGEST_LINE, break_on_hyphens=False)
        notes.append(
            {
                "text": "<br>".join(lines),
                "align": "left",
                "showarrow": False,
                "borderpad": 0,
                "xref": "paper",
                "x": 0,
                "xanchor": "left",
                "y": top,
                "yanchor": "top",
            }
        )
        top += LINE_HEIGHT * len(lines) + MARKS_HEIGHT
        at.append(top - MARKS_HEIGHT / 2.0)
    layout = {
        "annotations": notes,
        "yaxis": {"visible": False, "range": [top, 0], "fixedrange": True},
        "margin": {"l": 8},
        "showlegend": False,
    }
    return at, layout, top + 60


def _search(search: SearchRecord) -> Iterator[Chart]:
    """Yield charts of the trials' values: in the order of the trials, and against each numeric setting."""
    known = [trial for trial in search.trials if trial.latest is not None]
    if not known:
        return
    values = [trial.latest for trial in known if trial.latest is not None]
    markers = {
        "mode": "markers",
        "marker": {
            "color": [colour_of(0) if trial.state == "complete" else colour_of(1) for trial in known],
            "symbol": ["circle" if trial.state == "complete" else "x" for trial in known],
            "size": 8,
        },
        "text": [f"trial {trial.number}, {trial.state}" for trial in known],
        "hovertemplate": "%{text}: %{y:,.4~g}<extra></extra>",
        "showlegend": False,
    }
    complete = [trial for trial in known if trial.value is not None]
    best = list(itertools.accumulate((trial.value or 0.0 for trial in complete), max))
    line = {
        "x": [trial.number for trial in complete],
        "y": rounded(best),
        "mode": "lines",
        "line": {"color": colour_of(0), "shape": "hv"},
        "name": "best so far",
    }
    dots: Trace = {"x": [trial.number for trial in known], "y": rounded(values), **markers}
    yield Chart(
        "Search",
        search.study,
        "Each trial's value; crosses were pruned.",
        (dots, line),
        axes("trial", "value"),
        by_cell=False,
    )
    for key in search.keys:
        chosen = [trial.params.get(key) for trial in known]
        numbers = [float(x) for x in chosen if isinstance(x, (int, float))]
        if len(numbers) < len(chosen):
            continue
        layout = axes(key, "value")
        layout["xaxis"] |= log_if_wide(numbers)
        dots = {"x": numbers, "y": rounded(values), **markers}
        caption = "Each trial's value; crosses were pruned."
        yield Chart("Search", f"{search.study}: {key}", caption, (dots,), layout, by_cell=False)


def _forest(study: Study, environment: str, at: Sequence[int]) -> Chart:
    known = [i for i in order(study) if i in at and study.scores[i].iqm is not None]
    rows, layout, height = _in_rows([study.scores[i].cell.name for i in known])
    traces: list[Trace] = []
    key_of = keys(study)
    for row, i in zip(rows, known, strict=True):
        scores = study.scores[i]
        colour = key_of[scores.cell.name].colour
        shared = {"legendgroup": scores.cell.name, "mode": "markers"}
        seeds = list(scores.by_seed)
        traces.append(
            {
                **shared,
                "x": rounded(scores.values),
                "y": [row + BELOW] * len(seeds),
                "text": [f"seed {seed}" for seed in seeds],
                "hovertemplate": "%{text}: %{x:,.4~g}<extra></extra>",
                "marker": {"color": colour, "size": 7, "opacity": 0.6},
            }
        )
        if scores.iqm is not None:
            traces.append(
                {
                    **shared,
                    **with_bars("x", [scores.iqm]),
                    "y": [row],
                    "hovertemplate": f"IQM {text(scores.iqm)}<extra>{scores.cell.name}</extra>",
                    "marker": {"color": colour, "size": 11, "symbol": "diamond"},
                }
            )
    layout["xaxis"] = {"title": {"text": study.metric.axis}}
    caption = f"Diamonds: IQM, and its 95% interval from {FEWEST_FOR_RESAMPLING} seeds on. Dots: seeds."
    chart = Chart("Results", environment, caption, tuple(traces), layout, height, by_cell=False)
    # Every run is a curve of one point here.
    return _within(chart, "xaxis", usual_range([study.scores[i].values[:, None] for i in known], REACH_OF_SCORES))


def _learning(study: Study, environment: str, at: Sequence[int]) -> Chart:
    traces, key_of = curves_of(study, at, study.curves), keys(study)
    for i in at:
        cell = study.grid.cells[i]
        traces += [unfinished(cell, curves, key_of[cell.name].colour) for curves in study.in_training[i]]
    caption = (
        f"{study.curve_tag}: means over runs, with 95% intervals from {FEWEST_FOR_MEANS} runs on, and every run as a "
        "thin line."
    )
    if any(study.in_training[i] for i in at):
        caption += " Dotted: runs that are being trained."
    axis = CURVE_AXES.get(study.curve_tag, study.curve_tag)
    chart = Chart("Learning curves", environment, caption, tuple(traces), axes(STEPS, axis))
    return _within(chart, "yaxis", usual_range([study.curves[i].values for i in at], REACH_OF_CURVES))


def _profiles(study: Study, environment: str, at: Sequence[int]) -> Chart:
    known = [study.scores[i] for i in at if len(study.scores[i].values) > 1]
    scores = profile_range([each.values for each in known])
    traces, key_of = [], keys(study)
    for each in known if len(known) <= MOST_PROFILES else ():
        key = key_of[each.cell.name]
        line = line_through(key.name, rounded(scores), rounded(profile(each.values, scores)), key.colour, key.dash)
        traces.append({**line, "line": {**line["line"], "shape": "hv"}})
    better = ": a curve further right and up is better" if study.metric.is_return else ""
    caption = f"The share of runs that score above a value{better}."
    layout = axes(study.metric.axis, "share of runs above")
    return Chart("Performance profiles", environment, caption, tuple(traces), layout)


def _main_effects(study: Study, environment: str) -> Chart:
    mine = [effect for effect in study.effects if effect.environment == environment]
    rows, layout, height = _in_rows([f"{effect.factor}={effect.level}" for effect in mine])
    at = dict(zip(map(id, mine), rows, strict=True))
    traces: list[Trace] = []
    for i, factor in enumerate(dict.fromkeys(effect.factor for effect in mine)):
        of_factor = [effect for effect in mine if effect.factor == factor]
        traces.append(
            {
                **with_bars("x", [effect.mean for effect in of_factor]),
                "y": [at[id(effect)] for effect in of_factor],
                "text": [f"{factor}={effect.level}: {text(effect.mean)}" for effect in of_factor],
                "hovertemplate": "%{text}<extra></extra>",
                "mode": "markers",
                "marker": {"color": colour_of(i), "size": 9},
                "showlegend": False,
            }
        )
    layout["xaxis"] = {"title": {"text": study.metric.axis}}
    caption = "The mean over all experiments with a level, and its 95% interval."
    return Chart("Main effects", environment, caption, tuple(traces), layout, height, by_cell=False)


def _interactions(study: Study, environment: str) -> list[Chart]:
    mine = [each for each in study.interactions if each.environment == environment]
    made = []
    for factors in dict.fromkeys(each.factors for each in mine):
        of_pair = [each for each in mine if each.factors == factors]
        traces = []
        for i, level in enumerate(dict.fromkeys(each.levels[0] for each in of_pair)):
            points = [each for each in of_pair if each.levels[0] == level]
            traces.append(
                {
                    **with_bars("y", [each.mean for each in points]),
                    "x": [each.levels[1] for each in points],
                    "name": f"{factors[0]}={level}",
                    "text": [text(each.mean) for each in points],
                    "hovertemplate": "%{x}: %{text}",
                    "mode": "lines+markers",
                    "line": {"color": colour_of(i), "dash": dash_of(i)},
                }
            )
        caption = "Means. Lines far from parallel hint that what one factor does depends on the other."
        levels = list(dict.fromkeys(each.levels[1] for each in of_pair))
        layout = {
            "xaxis": {"type": "category", "title": {"text": factors[1]}, "tickangle": 0, **_in_lines(levels)},
            "yaxis": {"title": {"text": study.metric.axis}},
        }
        title = f"{environment}: {' x '.join(factors)}"
        made.append(Chart("Interactions", title, caption, tuple(traces), layout, by_cell=False))
    return made


def _in_lines(levels: Sequence[str]) -> dict[str, Any]:
    """Return the part of an axis that breaks its levels into lines, so that they fit side by side on a phone."""
    width = max(4, LONGEST_LINE // len(levels) - 2)
    lines = ["<br>".join(textwrap.wrap(level, width)) for level in levels]
    return {"tickvals": list(levels), "ticktext": lines, "range": [-0.5, len(levels) - 0.5]}
