"""Write the measured parts of docs/what-matters.md, and its picture, from the saved cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import interactions
import logs
import pandas as pd
from claims import CLAIMS, Claim, agreement, contradictions, over_all
from data import write
from effects import ALL, Effect, corrected, in_percent, of_choice, random_return, runs_of
from picture import draw
from plan import CHOICES, ENVIRONMENTS, OTHER_SEEDS, PRESETS, cell, preset_of, settings

from acexp.report.inference import ERROR, Mean
from acexp.report.scores import Estimate
from acexp.report.table import Value, to_markdown

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = DOCS / "what-matters.md"
PICTURE = DOCS / "results" / "what-matters.svg"
EFFECTS = Path(__file__).with_name("effects.csv")
SECTION = re.compile(r"(<!-- measured: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
UNMEASURED = "Not measured yet."
PRESET = "preset"
"""What stands for the effect of a level that the preset has."""


def presets() -> str:
    """Return a table of the presets that the levels are compared with, of A2C and of PPO."""
    rows: list[list[Value]] = []
    for environment, algorithm in product(ENVIRONMENTS.values(), PRESETS.values()):
        if not algorithm.concerns(environment):
            continue
        chosen = preset_of(environment, algorithm.preset)
        if (runs := runs_of(chosen)) is None:
            continue
        score = Estimate.of_mean(Mean.of(runs["score"]))
        made = runs.dropna(subset="engine").iloc[0]
        rows.append(
            [
                environment.title,
                f"`{' '.join(settings(environment, algorithm, ''))}`",
                random_return(environment),
                score,
                len(runs),
                str(made["engine"]),
                int(made["threads"]),
                str(made["versions"]),
            ]
        )
    columns = ("", "settings", "random actions", "preset", "n", "engine", "threads", "versions")
    return to_markdown(columns, rows)


def claims() -> str:
    """Return a table of the claims, and whether what was measured agrees."""
    tested = [(claim, claim.tested()) for claim in CLAIMS]
    known = iter(corrected([effect for _, found in tested if (effect := over_all(found)) is not None]))
    rows: list[list[Value]] = []
    for claim, found in tested:
        given = [claim.text, claim.source]
        if over_all(found) is None:
            rows.append([*given, None, None, None, None, UNMEASURED, None])
            continue
        effect = next(known)
        n = f"{effect.n} x {effect.n_environments}"
        measured = (in_percent(effect.percent), effect.probability, effect.p, n)
        rows.append([*given, *measured, f"**{agreement(claim, effect)}**", _by_environment(claim, found)])
    measured_columns = ("difference, % of the preset", "P(better)", "p, corrected", "n")
    return to_markdown(("claim", "source", *measured_columns, "agreement", "in each environment"), rows)


def again() -> str:
    """Return a table of the claims that were tested again on other seeds."""
    rows: list[list[Value]] = []
    for claim in CLAIMS:
        before = contradictions(claim)
        for effect in claim.tested(OTHER_SEEDS):
            if effect.where in before:
                percents = (in_percent(each.percent) for each in (before[effect.where], effect))
                rows.append([claim.text, effect.where, *percents, agreement(claim, effect)])
    columns = ("claim", "in", "first", "again", "agreement")
    return to_markdown(columns, rows) if rows else UNMEASURED


def _by_environment(claim: Claim, found: list[Effect]) -> str:
    """Return how many environments that count agree with a claim, do not, and are undecided: `yes 3, undecided 2`."""
    counted = {each.title for each in ENVIRONMENTS.values() if each.counts}
    answers = Counter(agreement(claim, each) for each in found if each.where in counted)
    return ", ".join(f"{answer} {answers[answer]}" for answer in ("yes", "no", "undecided") if answers[answer])


def choice(name: str) -> str:
    """Return a table of the effects of a choice's levels, with a column for each environment.

    An effect is bold if its corrected p-value is below ERROR.
    """
    choice_ = CHOICES[name]
    found = {(each.level, each.where): each for each in of_choice(choice_)}
    if not found:
        return UNMEASURED
    here = [each for each in ENVIRONMENTS.values() if any(where == each.title for _, where in found)]
    rows: list[list[Value]] = []
    for level in choice_.levels:
        shown = [
            PRESET
            if cell(each, choice_, level).first == preset_of(each, choice_.preset).first
            else _shown(found.get((level, each.title)))
            for each in here
        ]
        over = found.get((level, ALL))
        of = over.n_environments if over else None
        rows.append([f"`{level}`", *shown, _shown(over), of, over.probability if over else None])
    return to_markdown(("level", *(each.title for each in here), ALL, "of", "P(better)"), rows)


def _shown(effect: Effect | None) -> str | None:
    if effect is None:
        return None
    percent = in_percent(effect.percent)
    diverged = f", {effect.n_diverged} diverged" if effect.n_diverged else ""
    return f"**{percent}**{diverged}" if effect.p < ERROR else f"{percent}{diverged}"


def all_effects() -> pd.DataFrame:
    """Return the effects of all choices with what their tables leave out, a row for each."""
    rows: list[dict[str, object]] = []
    for name, choice_ in CHOICES.items():
        for each in of_choice(choice_):
            row: dict[str, object] = {"choice": name, "level": each.level, "in": each.where}
            row |= {"n": each.n, "environments": each.n_environments, "diverged": each.n_diverged}
            for what, estimate in (("score", each.score), ("difference", each.difference), ("percent", each.percent)):
                interval = None if estimate is None else estimate.interval
                row[what] = None if estimate is None else estimate.value
                row[f"{what} low"], row[f"{what} high"] = interval or (None, None)
            rows.append(row | {"P(better)": each.probability, "p, corrected": each.p})
    return pd.DataFrame(rows)


TABLES: dict[str, Callable[[], str]] = {
    "presets": presets,
    "claims": claims,
    "again": again,
    "shared-bound": logs.shared_bound,
    "heavy-tails": logs.heavy_tails,
    "cosine": logs.cosine,
    "critics": logs.critics,
    "interactions": interactions.table,
    "exploration": logs.exploration,
    "large-effects": logs.large_effects,
}
"""The tables that are not of one choice, by the names of their sections."""


def section(name: str) -> str:
    """Return the content of a section: a table, or that of a choice."""
    return TABLES[name]() if name in TABLES else choice(name)


def main() -> None:
    """Fill every section of the page, save the effects, and draw the picture."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(SECTION.sub(lambda m: f"{m[1]}\n{section(m[2])}\n\n{m[4]}", page), encoding="utf-8")
    write(all_effects(), EFFECTS)
    draw(PICTURE)


if __name__ == "__main__":
    main()
