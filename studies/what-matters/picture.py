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


def largest() -> dict[str, list[Effect]]:
    """Return the effects of each choice's level that matters most, the choice with the largest effect first."""
    found: dict[str, list[Effect]] = {}
    for name, choice in CHOICES.items():
        by_level: dict[str, list[Effect]] = {}
        for effect in of_choice(choice):
            by_level.setdefault(effect.level, []).append(effect)
        whole = [each for each in by_level.values() if each[-1].where == ALL]
        if whole:
            found[name] = max(whole, key=lambda each: abs(each[-1].percent.value))
    return dict(sorted(found.items(), key=lambda item: -abs(item[1][-1].percent.value)))


def draw(path: Path) -> None:
    """Draw a row for each choice: the mean effect with its interval, and that in each environment."""
    rows = largest()
    if not rows:
        return
    mpl.rcParams.update({"svg.hashsalt": "acexp", "font.size": 8})
    figure, axis = plt.subplots(figsize=(8.0, 0.8 + 0.34 * len(rows)), layout="constrained")
    colours = {each.title: colour_of(i) for i, each in enumerate(ENVIRONMENTS.values())}
    shown: dict[str, None] = {}
    for y, effects in enumerate(rows.values()):
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
            if effect.where in {each.title for each in ENVIRONMENTS.values() if each.counts}:
                label = None if effect.where in shown else effect.where
                shown[effect.where] = None
                x = max(-WIDEST, min(WIDEST, effect.percent.value))
                axis.plot(x, y, "o", color=colours[effect.where], markersize=4, alpha=0.75, label=label)
    axis.axvline(0.0, color="grey", linewidth=0.8)
    names = [f"{CHOICES[name].title}\n{effects[-1].level}" for name, effects in rows.items()]
    axis.set_yticks(range(len(rows)), names, fontsize=6.5)
    axis.invert_yaxis()
    axis.set_xlabel(
        "change of the final return, in % of what the preset learns; diamonds: mean, 95% interval over seeds"
    )
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=7, loc="lower left")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
