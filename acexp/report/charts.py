"""The charts of a study, as plain data for Plotly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acexp.report.curves import profile_range
from acexp.report.inference import profile
from acexp.report.searches import SearchRecord
from acexp.report.study import Study
from acexp.report.table import text
from acexp.report.traces import COLOURS, Trace, axes, colour_of, curve, dash_of, line_through, rounded, with_bars

MOST_PROFILES = 16
"""The largest number of cells whose profiles are drawn, as more could not be distinguished."""

LONGEST_BESIDE = 24
"""The length in characters up to which names are placed beside their rows, rather than above them."""

STEPS = "env steps"

LOG_AXIS_RATIO = 30
"""The ratio of the largest to the smallest value from which on an axis is logarithmic."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart of the report.

    Attributes:
        section: the heading that it is shown under.
        title, caption: the texts above and below it.
        traces, layout: Plotly's description of it.
    """

    section: str
    title: str
    caption: str
    traces: tuple[Trace, ...]
    layout: dict[str, Any]


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
            *_norms(study, environment, at),
            *_clip_share(study, environment, at),
            _cosine(study, environment, at),
        ]
    return [_with_room(chart) for chart in made if chart.traces]


def _with_room(chart: Chart) -> Chart:
    """Return the chart, tall enough for its legend, which may have one name per line."""
    n_names = sum("name" in trace and trace.get("showlegend", True) for trace in chart.traces)
    return replace(chart, layout={"height": 320 + 19 * n_names, **chart.layout})


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
    )
    for key in search.keys:
        chosen = [trial.params.get(key) for trial in known]
        numbers = [float(x) for x in chosen if isinstance(x, (int, float))]
        if len(numbers) < len(chosen):
            continue
        layout = axes(key, "value")
        if min(numbers) > 0 and max(numbers) >= LOG_AXIS_RATIO * min(numbers):
            layout["xaxis"]["type"] = "log"
        dots = {"x": numbers, "y": rounded(values), **markers}
        yield Chart("Search", f"{search.study}: {key}", "Each trial's value; crosses were pruned.", (dots,), layout)


def _forest(study: Study, environment: str, at: Sequence[int]) -> Chart:
    traces: list[Trace] = []
    for colour, i in enumerate(at):
        scores = study.scores[i]
        if scores.iqm is None:
            continue
        seeds = list(scores.by_seed)
        name = scores.cell.name
        traces.append(
            {
                "x": rounded(scores.values),
                "y": [name] * len(seeds),
                "text": [f"seed {seed}" for seed in seeds],
                "hovertemplate": "%{text}: %{x:,.4~g}<extra></extra>",
                "mode": "markers",
                "marker": {"color": colour_of(colour), "size": 6, "opacity": 0.35},
                "showlegend": False,
            }
        )
        traces.append(
            {
                **with_bars("x", [scores.iqm]),
                "y": [name],
                "hovertemplate": f"IQM {text(scores.iqm)}<extra>{name}</extra>",
                "mode": "markers",
                "marker": {"color": colour_of(colour), "size": 11, "symbol": "diamond"},
                "showlegend": False,
            }
        )
    names = {"autorange": "reversed", "automargin": True, "showgrid": False}
    if max(len(study.scores[i].cell.name) for i in at) > LONGEST_BESIDE:
        names["ticklabelposition"] = "inside top"
    layout = {"xaxis": {"title": {"text": "score"}}, "yaxis": names, "height": 140 + 46 * len(at)}
    return Chart("Results", environment, "Diamonds: IQM and its 95% interval. Dots: seeds.", tuple(traces), layout)


def _learning(study: Study, environment: str, at: Sequence[int]) -> Chart:
    traces = [
        trace
        for colour, i in enumerate(at)
        for trace in curve(study.grid.cells[i], study.curves[i], colour_of(colour), dash_of(colour), seed=i)
    ]
    caption = (
        f"{study.curve_tag}: means over runs with 95% intervals, and every run thin behind. "
        "A click on a name hides it, a double click shows it alone."
    )
    return Chart("Learning curves", environment, caption, tuple(traces), axes(STEPS, "return"))


def _profiles(study: Study, environment: str, at: Sequence[int]) -> Chart:
    known = [(colour, study.scores[i]) for colour, i in enumerate(at) if len(study.scores[i].values) > 1]
    scores = profile_range([each.values for _, each in known])
    traces = [
        {
            **line_through(
                each.cell.name, rounded(scores), rounded(profile(each.values, scores)), colour_of(c), dash_of(c)
            ),
            "line": {"color": colour_of(c), "dash": dash_of(c), "shape": "hv", "width": 2},
        }
        for c, each in known
        if len(known) <= MOST_PROFILES
    ]
    caption = "The share of runs that score above a value: a curve further right and up is better."
    return Chart("Performance profiles", environment, caption, tuple(traces), axes("score", "share of runs above"))


def _main_effects(study: Study, environment: str) -> Chart:
    mine = [effect for effect in study.effects if effect.environment == environment]
    traces: list[Trace] = []
    for i, factor in enumerate(dict.fromkeys(effect.factor for effect in mine)):
        of_factor = [effect for effect in mine if effect.factor == factor]
        traces.append(
            {
                **with_bars("y", [effect.mean for effect in of_factor]),
                "x": [[factor] * len(of_factor), [effect.level for effect in of_factor]],
                "text": [text(effect.mean) for effect in of_factor],
                "hovertemplate": "%{x}: %{text}<extra></extra>",
                "mode": "lines+markers",
                "line": {"color": colour_of(i)},
                "marker": {"size": 9},
                "showlegend": False,
            }
        )
    layout = {"xaxis": {"type": "multicategory"}, "yaxis": {"title": {"text": "mean score"}}}
    caption = "The mean over all experiments with a level, and its 95% interval."
    return Chart("Main effects", environment, caption, tuple(traces), layout)


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
        caption = "Lines that are not parallel: what one factor does depends on the other."
        layout = {
            "xaxis": {"type": "category", "title": {"text": factors[1]}},
            "yaxis": {"title": {"text": "mean score"}},
        }
        made.append(Chart("Interactions", f"{environment}: {' x '.join(factors)}", caption, tuple(traces), layout))
    return made


def _norms(study: Study, environment: str, at: Sequence[int]) -> list[Chart]:
    made = []
    parts = dict.fromkeys(part for i in at for part in study.gradients[i].norms)
    for part in parts:
        traces = []
        for colour, i in enumerate(at):
            norms = study.gradients[i].norms.get(part)
            if norms is None or not len(norms.before.seeds):
                continue
            name = study.gradients[i].cell.name
            for curves, dash, what in ((norms.before, "solid", "before"), (norms.after, "dot", "after")):
                line = line_through(name, rounded(curves.steps), rounded(curves.mean), colour_of(colour), dash)
                hover = f"{what}: %{{y:,.3~g}} at %{{x:,}}<extra>{name}</extra>"
                traces.append({**line, "hovertemplate": hover, "showlegend": what == "before"})
        caption = "Solid: before clipping. Dotted: after. Means over runs."
        layout = axes(STEPS, "gradient norm")
        layout["yaxis"]["type"] = "log"
        made.append(Chart("What clipping did", f"{environment}: {part}", caption, tuple(traces), layout))
    return made


def _clip_share(study: Study, environment: str, at: Sequence[int]) -> list[Chart]:
    made = []
    for group in dict.fromkeys(group for i in at for group in study.gradients[i].clip_share):
        traces = []
        for colour, i in enumerate(at):
            shares, scores = study.gradients[i].clip_share.get(group, {}), study.scores[i].by_seed
            seeds = [seed for seed in scores if seed in shares]
            if seeds:
                traces.append(
                    {
                        "x": rounded([shares[seed] for seed in seeds]),
                        "y": rounded([scores[seed] for seed in seeds]),
                        "text": [f"seed {seed}" for seed in seeds],
                        "name": study.scores[i].cell.name,
                        "hovertemplate": "%{text}: %{y:,.4~g}, %{x:.0%} clipped",
                        "mode": "markers",
                        "marker": {"color": colour_of(colour), "size": 8, "symbol": colour // len(COLOURS)},
                    }
                )
        caption = "Each run: the share of its updates in which clipping changed this, and what the run reached."
        layout = axes("share of updates clipped", "score")
        layout["xaxis"]["tickformat"] = ".0%"
        made.append(Chart("What clipping did", f"{environment}: {group} and score", caption, tuple(traces), layout))
    return made


def _cosine(study: Study, environment: str, at: Sequence[int]) -> Chart:
    traces = [
        trace
        for colour, i in enumerate(at)
        for trace in curve(study.grid.cells[i], study.gradients[i].cosine, colour_of(colour), dash_of(colour), seed=i)
    ]
    caption = (
        "The cosine between the actor's and the critic's gradient on the shared trunk: below 0 they conflict, "
        "at 0 they are orthogonal."
    )
    return Chart("The shared trunk", environment, caption, tuple(traces), axes(STEPS, "cosine"))
