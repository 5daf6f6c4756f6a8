"""The charts of gradients: their norms, how often they were clipped, and how the losses agree on a shared trunk."""

from __future__ import annotations

from collections.abc import Sequence

from acexp.report.chart import STEPS, Chart, curves_of, keys, log_if_wide
from acexp.report.study import Study
from acexp.report.traces import COLOURS, axes, line_through, rounded


def norms_of(study: Study, environment: str, at: Sequence[int]) -> list[Chart]:
    """Return a chart of the norms before and after clipping for each module and optimizer."""
    made, key = [], keys(study)
    parts = dict.fromkeys(part for i in at for part in study.gradients[i].norms)
    for part in parts:
        traces = []
        for i in at:
            norms = study.gradients[i].norms.get(part)
            if norms is None or not len(norms.before.seeds):
                continue
            name = study.gradients[i].cell.name
            for curves, dash, what in ((norms.before, "solid", "before"), (norms.after, "dot", "after")):
                line = line_through(name, rounded(curves.steps), rounded(curves.mean), key[name].colour, dash)
                hover = f"{what}: %{{y:,.3~g}} at %{{x:,}}<extra>{name}</extra>"
                traces.append({**line, "hovertemplate": hover})
        caption = "Solid: before clipping. Dotted: after. Means over runs."
        layout = axes(STEPS, "gradient norm")
        drawn = [y for trace in traces for y in trace["y"] if y is not None]
        layout["yaxis"] |= log_if_wide(drawn)
        made.append(Chart("What clipping did", f"{environment}: {part}", caption, tuple(traces), layout))
    return made


def clip_shares(study: Study, environment: str, at: Sequence[int]) -> list[Chart]:
    """Return a chart for each optimizer: the share of a run's updates that were clipped, and the run's score."""
    made, key = [], keys(study)
    for group in dict.fromkeys(group for i in at for group in study.gradients[i].clip_share):
        traces = []
        for i in at:
            shares, scores = study.gradients[i].clip_share.get(group, {}), study.scores[i].by_seed
            seeds = [seed for seed in scores if seed in shares]
            if seeds:
                name = study.scores[i].cell.name
                symbol = list(key).index(name) // len(COLOURS)
                traces.append(
                    {
                        "x": rounded([shares[seed] for seed in seeds]),
                        "y": rounded([scores[seed] for seed in seeds]),
                        "text": [f"seed {seed}" for seed in seeds],
                        "name": name,
                        "legendgroup": name,
                        "hovertemplate": "%{text}: %{y:,.4~g}, %{x:.0%} clipped",
                        "mode": "markers",
                        "marker": {"color": key[name].colour, "size": 8, "symbol": symbol},
                    }
                )
        caption = "Each run: the share of its updates in which clipping changed this, and what the run reached."
        layout = axes("share of updates clipped", study.metric.axis)
        layout["xaxis"]["tickformat"] = ".0%"
        made.append(Chart("What clipping did", f"{environment}: {group} and score", caption, tuple(traces), layout))
    return made


def cosine(study: Study, environment: str, at: Sequence[int]) -> Chart:
    """Return the chart of the cosine between the two losses' gradients on a shared trunk."""
    traces = curves_of(study, at, [each.cosine for each in study.gradients])
    caption = (
        "The cosine between the actor's and the critic's gradient on the shared trunk: below 0 they conflict, "
        "at 0 they are orthogonal."
    )
    return Chart("The shared trunk", environment, caption, tuple(traces), axes(STEPS, "cosine"))
