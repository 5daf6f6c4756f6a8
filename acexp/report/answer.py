"""The answer of a study: one sentence, and a table of the experiments with the best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from acexp.core.numbers import number
from acexp.report.cells import EVERY_RUN, Cell
from acexp.report.comparisons import Comparison, about, too_few
from acexp.report.inference import MOST_SEEDS
from acexp.report.scores import CellScores, Estimate
from acexp.report.study import Study
from acexp.report.table import Table, Value, text
from acexp.report.tables import n_scored, run_counts

MOST_NAMED = 3
"""The number of environments, and of experiments with an equal mean, up to which the sentence names each."""


@dataclass(frozen=True, slots=True)
class _Leaders:
    """The experiments with the highest mean in an environment, of those that have a score."""

    environment: str
    leaders: tuple[CellScores, ...]
    n_scored: int
    mean: Estimate


def answer(study: Study) -> str:
    """Return one sentence: which experiment is best, how many differences are certain, and what would settle the rest.

    Where nothing is certain it says so, and where several experiments have the same mean it names no winner.
    """
    known = [found for environment in study.grid.environments if (found := _leaders(study, environment))]
    if not known:
        return f"No run has a score yet ({run_counts(study)})."
    parts = [_best(each, study) for each in known[:MOST_NAMED]]
    if len(known) > MOST_NAMED:
        parts.append(f"{len(known) - MOST_NAMED} more environments are in the table")
    sentence = "; ".join([*parts, *_certainty(study, known)])
    return f"{sentence[0].upper()}{sentence[1:]}."


def _leaders(study: Study, environment: str) -> _Leaders | None:
    known = [(s, s.mean) for s in study.scores if s.cell.environment == environment and s.mean is not None]
    if not known:
        return None
    highest = max((mean for _, mean in known), key=lambda mean: mean.value)
    equal = (scores for scores, mean in known if math.isclose(mean.value, highest.value, rel_tol=1e-12))
    return _Leaders(environment, tuple(equal), len(known), highest)


def _best(found: _Leaders, study: Study) -> str:
    first = found.leaders[0]
    mean = f"{text(found.mean)} (n = {len(first.by_seed)})"
    if found.n_scored == 1:
        name = "mean" if first.cell.name == EVERY_RUN else f"only {first.cell.name} has a score"
        return f"on {found.environment}, {name}: {mean}"
    if len(found.leaders) == found.n_scored:
        return (
            f"on {found.environment}, all {found.n_scored} experiments have the same mean, {number(found.mean.value)}"
        )
    return f"on {found.environment}, {_superlative(found, study)}: {_listed([s.cell for s in found.leaders])}, {mean}"


def _superlative(found: _Leaders, study: Study) -> str:
    """Return "best" if the experiment is certainly better than another one, else what is known: the highest mean."""
    mine = {id(scores.cell) for scores in found.leaders}
    has_won = any(
        c.is_decided and id(c.cell if c.difference.value > 0 else c.baseline) in mine for c in study.comparisons
    )
    return "best" if has_won and study.metric.is_return else "highest mean"


def _listed(cells: Sequence[Cell]) -> str:
    if len(cells) > MOST_NAMED:
        return f"{cells[0].name} and {len(cells) - 1} others with the same mean"
    return " and ".join(cell.name for cell in cells)


def _certainty(study: Study, known: Sequence[_Leaders]) -> list[str]:
    """Return what is known of the differences, as the last parts of the sentence."""
    comparisons = study.comparisons
    if not comparisons:
        if all(len(study.grid.of(environment)) == 1 for environment in study.grid.environments):
            return ["no setting differs between the runs, so that nothing is compared"]
        return [] if all(found.n_scored == 1 for found in known) else [f"nothing compares with {study.baseline.name}"]
    n, decided = len(comparisons), sum(comparison.is_decided for comparison in comparisons)
    rest = [comparison for comparison in comparisons if not comparison.is_decided]
    if not rest:
        return ["the difference is certain" if n == 1 else f"all {n} differences are certain"]
    if all(found.n_scored == len(found.leaders) for found in known):
        return []
    if all(comparison.difference.interval is None for comparison in comparisons):
        most = max(comparison.n for comparison in comparisons)
        return [f"{too_few(most)} tell a difference, at least {comparisons[0].fewest} are needed"]
    if decided:
        return [
            f"{decided} of {n} differences {'is' if decided == 1 else 'are'} certain",
            *_settling(rest, "the rest", "of the rest"),
        ]
    only = n == 1
    return [
        "the difference is not certain yet" if only else f"none of {n} differences is certain yet",
        *_settling(rest, "it" if only else "all of them", "of them"),
    ]


def _settling(rest: Sequence[Comparison], whole: str, part: str) -> list[str]:
    """Return what would settle those comparisons for which a number of seeds is known, which are all or a part."""
    needed = [seeds for comparison in rest if (seeds := comparison.seeds_to_settle) is not None]
    if not needed:
        return []
    what = whole if len(needed) == len(rest) else f"{len(needed)} {part}"
    if max(needed) > MOST_SEEDS:
        return [f"more than {MOST_SEEDS:,} seeds would be needed to settle {what}"]
    return [f"{about(max(needed))} seeds would probably settle {what}"]


def ranking(study: Study) -> Table:
    """Return a table of all experiments, in each environment the one with the highest mean first."""
    compared = {id(comparison.cell): comparison for comparison in study.comparisons}
    baselines = {id(comparison.baseline) for comparison in study.comparisons}
    is_training = any(study.in_training)
    rows: list[tuple[Value, ...]] = []
    for i in order(study):
        scores = study.scores[i]
        row: list[Value] = [scores.cell.environment, scores.cell.name, scores.mean, n_scored(scores)]
        if is_training:
            latest = [float(curve.values[0, -1]) for curve in study.in_training[i]]
            row.append(sum(latest) / len(latest) if latest else None)
        comparison = compared.get(id(scores.cell))
        if compared:
            missing = "baseline" if id(scores.cell) in baselines else None
            row += [comparison.difference if comparison else missing, _verdict(comparison)]
        rows.append(tuple(row))
    columns = ["environment", "experiment", "mean", "n"]
    columns += ["in training, so far"] if is_training else []
    columns += ["difference", "certain"] if compared else []
    table = Table("ranking", "Experiments, the highest mean first", _note(study), tuple(columns), tuple(rows))
    return table if len(study.grid.environments) > 1 else table.without("environment")


def _note(study: Study) -> str:
    note = f"Scores: {study.metric.description}."
    if study.metric.note:
        note += f" {study.metric.note}"
    if not study.comparisons:
        return note
    first = study.comparisons[0].baseline.name
    name = study.baseline.name if study.baseline.levels or len(study.grid.environments) > 1 else first
    return f"{note} Differences are from the baseline: {name}. In brackets: 95% intervals."


def order(study: Study) -> list[int]:
    """Return the indices of the cells in the order of the ranking."""
    places = {environment: i for i, environment in enumerate(study.grid.environments)}

    def key(i: int) -> tuple[int, float]:
        mean = study.scores[i].mean
        return places[study.scores[i].cell.environment], -mean.value if mean else math.inf

    return sorted(range(len(study.scores)), key=key)


def _verdict(comparison: Comparison | None) -> str | None:
    if comparison is None:
        return None
    if comparison.is_decided:
        return "yes"
    if comparison.difference.interval == (0.0, 0.0):
        return "the same"
    seeds = comparison.seeds_to_settle
    return "no" if seeds is None else f"no, {about(seeds)} seeds"
