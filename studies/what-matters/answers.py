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
from choices import ALL_SEEDS, CHOICES, OTHER_SEEDS, PRESETS
from claims import CLAIMS, Claim, agreement, contradictions
from comparisons import over_all
from data import write
from effects import (
    ALL,
    AREA,
    MEASURES,
    Effect,
    bold,
    corrected,
    in_percent,
    of_choice,
    random_return,
    runs_of,
)
from environments import ENVIRONMENTS
from picture import draw
from plan import Cell, cell, label, label_of, preset_of, settings

from acexp.core.numbers import number
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
    tested = [(claim, claim.compared.effects()) for claim in CLAIMS]
    # Several claims may be about one comparison, which is corrected once.
    shown = {claim.compared: effect for claim, found in tested if (effect := over_all(found)) is not None}
    known = dict(zip(shown, corrected(list(shown.values())), strict=True))
    rows: list[list[Value]] = []
    for claim, found in tested:
        given = [claim.text, claim.source, claim.compared.title]
        effect, area = known.get(claim.compared), over_all(claim.compared.effects(measure=AREA))
        if effect is None or area is None:
            rows.append([*given, None, None, None, None, UNMEASURED, None, None, None])
            continue
        n = f"{effect.n} x {effect.n_environments}"
        measured = (in_percent(effect.percent), effect.probability, effect.p, n)
        answer, places = _answer(claim, effect), _by_environment(claim, found)
        rows.append([*given, *measured, answer, places, in_percent(area.percent), agreement(claim, area)])
    measured_columns = ("difference, % of the preset", "P(better)", "p, corrected", "n")
    answer_columns = ("agreement", "in each environment", "in the whole training", "agreement")
    return to_markdown(("claim", "source", "compared", *measured_columns, *answer_columns), rows)


def _answer(claim: Claim, effect: Effect) -> str:
    """Return whether an effect agrees with a claim, and if it does not, whether it does on other seeds."""
    answer = agreement(claim, effect)
    others = claim.compared.effects(OTHER_SEEDS) if answer == "no" else ()
    again = next((f"; again: {agreement(claim, each)}" for each in others if each.where == effect.where), "")
    return f"**{answer}**{again}"


def again() -> str:
    """Return a table of the claims that were tested again on other seeds, and on all seeds together."""
    rows: list[list[Value]] = []
    for claim in CLAIMS:
        again_, together = (
            {each.where: each for each in claim.compared.effects(seeds)} for seeds in (OTHER_SEEDS, ALL_SEEDS)
        )
        for where, first in contradictions(claim).items():
            if where in again_:
                percents = [in_percent(each.percent) for each in (first, again_[where], together[where])]
                answers = [agreement(claim, each[where]) for each in (again_, together)]
                rows.append([claim.compared.title, claim.expected, where, *percents, *answers])
    columns = ("compared", "said to be", "in", "first", "again", "together", "agreement, again", "together")
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
        rows.append([f"`{label(level)}`", *shown, _shown(over), of, over.probability if over else None])
    return to_markdown(("level", *(each.title for each in here), ALL, "of", "P(better)"), rows)


def _shown(effect: Effect | None) -> str | None:
    if effect is None:
        return None
    diverged = f", {effect.n_diverged} diverged" if effect.n_diverged else ""
    return f"{bold(effect)}{diverged}"


def measures() -> str:
    """Return a table of the levels that certainly change one of the measures, with what they change in each.

    A sentence below says in how many rows not all of the measures show it.
    """
    rows: list[list[Value]] = []
    n_mixed = 0
    by_measure = {name: [of_choice(each, measure) for measure in MEASURES] for name, each in CHOICES.items()}
    for environment in (each for each in ENVIRONMENTS.values() if each.counts):
        by_cell: dict[str, list[Value]] = {}  # some choices share a cell
        for name, by in by_measure.items():
            for found in zip(*([each for each in by_ if each.where == environment.title] for by_ in by), strict=True):
                are_bold = {each.p < ERROR for each in found}
                changed = cell(environment, CHOICES[name], found[0].level)
                if True in are_bold and changed.first not in by_cell:
                    shown = (label_of(changed.choice, changed.level), *map(bold, found), _range(changed))
                    by_cell[changed.first] = [environment.title, *shown]
                    n_mixed += False in are_bold
        rows += by_cell.values()
    table = to_markdown(("", "level", *MEASURES.values(), "scores: lowest, median, highest"), rows)
    return f"{table}\n\nIn {n_mixed} of these {len(rows)} rows, not all of the three measures are bold."


def _range(chosen: Cell) -> str:
    """Return the lowest, the median and the highest score of a cell's runs."""
    runs = runs_of(chosen)
    assert runs is not None, chosen
    return ", ".join(number(float(each)) for each in runs["score"].quantile([0.0, 0.5, 1.0]))


def all_effects() -> pd.DataFrame:
    """Return the effects of all choices, by each measure, with what their tables leave out, a row for each."""
    rows: list[dict[str, object]] = []
    for (name, choice_), measure in product(CHOICES.items(), MEASURES):
        for each in of_choice(choice_, measure):
            row: dict[str, object] = {"choice": name, "level": each.level, "in": each.where, "measure": measure}
            row |= {"n": each.n, "environments": each.n_environments, "diverged": each.n_diverged}
            for what, estimate in (("mean", each.mean), ("difference", each.difference), ("percent", each.percent)):
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
    "measures": measures,
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
