"""Write the measured parts of docs/what-matters.md, and its picture, from the saved cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import logs
from claims import CLAIMS, Claim, agreement, over_all
from effects import ALL, Effect, corrected, in_percent, of_choice, preset, random_return
from picture import draw
from plan import CHOICES, ENVIRONMENTS

from acexp.report.inference import Mean
from acexp.report.scores import Estimate
from acexp.report.table import Value, to_markdown

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = DOCS / "what-matters.md"
PICTURE = DOCS / "results" / "what-matters.svg"
SECTION = re.compile(r"(<!-- measured: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
UNMEASURED = "Not measured yet."


def presets() -> str:
    """Return a table of the presets that the levels are compared with."""
    rows: list[list[Value]] = []
    for environment in ENVIRONMENTS.values():
        if (runs := preset(environment)) is None:
            continue
        score = Estimate.of_mean(Mean.of(runs["score"]))
        made = runs.dropna(subset="engine").iloc[0]
        rows.append(
            [
                environment.title,
                f"`{environment.preset} {environment.rest}`",
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


def _by_environment(claim: Claim, found: list[Effect]) -> str:
    """Return how many environments that count agree with a claim, do not, and are undecided: `yes 3, undecided 2`."""
    counted = {each.title for each in ENVIRONMENTS.values() if each.counts}
    answers = Counter(agreement(claim, each) for each in found if each.where in counted)
    return ", ".join(f"{answer} {answers[answer]}" for answer in ("yes", "no", "undecided") if answers[answer])


def choice(name: str) -> str:
    """Return the commands of a choice, and a table of the effects of its levels."""
    found = of_choice(CHOICES[name])
    if not found:
        return UNMEASURED
    rows = [_row(each) for each in found]
    columns = ("level", "in", "n", "score", "difference", "in % of the preset", "P(better)", "p, corrected")
    return to_markdown(columns, rows)


def _row(effect: Effect) -> list[Value]:
    n = str(effect.n) if effect.where != ALL else f"{effect.n} x {effect.n_environments}"
    if effect.n_diverged:
        n += f" ({effect.n_diverged} diverged)"
    where = effect.where if effect.where != ALL else "**all**"
    estimates = (effect.score, effect.difference, in_percent(effect.percent))
    return [f"`{effect.level}`", where, n, *estimates, effect.probability, effect.p]


TABLES: dict[str, Callable[[], str]] = {
    "presets": presets,
    "claims": claims,
    "shared-bound": logs.shared_bound,
    "heavy-tails": logs.heavy_tails,
    "cosine": logs.cosine,
    "critics": logs.critics,
    "exploration": logs.exploration,
}
"""The tables that are not of one choice, by the names of their sections."""


def section(name: str) -> str:
    """Return the content of a section: a table, or that of a choice."""
    return TABLES[name]() if name in TABLES else choice(name)


def main() -> None:
    """Fill every section of the page, and draw its picture."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(SECTION.sub(lambda m: f"{m[1]}\n{section(m[2])}\n\n{m[4]}", page), encoding="utf-8")
    draw(PICTURE)


if __name__ == "__main__":
    main()
