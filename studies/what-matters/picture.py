"""The picture of the study: the choices by the size of their effects, over environments and in each."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from effects import ALL, Effect, of_choice
from plan import CHOICES, ENVIRONMENTS

from acexp.report.traces import colour_of

WIDEST = 130.0
"""The end of the axis, in percent; the dot of an environment beyond it is drawn there."""

LEFT_OUT = ("clipping-and-optimizers", "normalizer-and-activation", "rate", "ppo-choices")
"""The choices that vary two things: a level at another level of another choice."""


def largest() -> dict[str, list[list[Effect]]]:
    """Return the effects of each choice's levels, in each environment and over all, the largest first."""
    found: dict[str, list[list[Effect]]] = {}
    for name, choice in CHOICES.items():
        by_level: dict[str, list[Effect]] = {}
        for effect in of_choice(choice):
            by_level.setdefault(effect.level, []).append(effect)
        whole = [each for each in by_level.values() if each[-1].where == ALL]
        if whole and name not in LEFT_OUT:
            found[name] = sorted(whole, key=_size, reverse=True)
    return dict(sorted(found.items(), key=lambda item: _size(item[1][0]), reverse=True))


def _size(effects: list[Effect]) -> float:
    return abs(effects[-1].percent.value)


def draw(path: Path) -> None:
    """Draw a row for each choice: its largest effect with an interval and in each environment, and the other levels."""
    rows = largest()
    if not rows:
        return
    mpl.rcParams.update({"svg.hashsalt": "acexp", "font.size": 8})
    figure, axis = plt.subplots(figsize=(8.0, 0.8 + 0.34 * len(rows)), layout="constrained")
    colours = {each.title: colour_of(i) for i, each in enumerate(ENVIRONMENTS.values())}
    counted = {each.title for each in ENVIRONMENTS.values() if each.counts}
    shown: dict[str, None] = {}
    for y, (effects, *others) in enumerate(rows.values()):
        for other in others:
            axis.plot(other[-1].percent.value, y, "D", color="black", markerfacecolor="none", markersize=4, alpha=0.6)
        mean = effects[-1].percent
        assert mean.interval is not None
        axis.errorbar(
            mean.value,
            y,
            xerr=[[mean.value - mean.interval.low], [mean.interval.high - mean.value]],
            fmt="D",
            color="black",
            markersize=5,
            capsize=3,
            zorder=3,
        )
        for effect in effects[:-1]:
            if effect.where in counted:
                label = None if effect.where in shown else effect.where
                shown[effect.where] = None
                x = max(-WIDEST, min(WIDEST, effect.percent.value))
                axis.plot(x, y, "o", color=colours[effect.where], markersize=4, alpha=0.75, label=label)
    axis.axvline(0.0, color="grey", linewidth=0.8)
    names = [f"{CHOICES[name].title}\n{levels[0][-1].level}" for name, levels in rows.items()]
    axis.set_yticks(range(len(rows)), names, fontsize=6.5)
    axis.invert_yaxis()
    axis.set_xlabel(
        "change of the final return, in % of what the preset learns\n"
        "filled diamonds: the level that changes most, its mean with a 95% interval over seeds\n"
        "open diamonds: the other levels"
    )
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=7, loc="lower left")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
