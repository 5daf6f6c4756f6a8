"""The tables of a study, which are the same in Markdown, on the page and in CSV files."""

from __future__ import annotations

import shlex
from collections import Counter

import numpy as np

from acexp.config.effects import SOMETIMES_WITHOUT_EFFECT
from acexp.core.numbers import number
from acexp.report.cells import ABSENT
from acexp.report.comparisons import about
from acexp.report.inference import FEWEST_FOR_MEANS, FEWEST_FOR_RESAMPLING, MOST_SEEDS, Interval
from acexp.report.records import versions_used
from acexp.report.scores import CellScores, Estimate
from acexp.report.study import Study
from acexp.report.table import Table, Value
from acexp.runs.run_directory import Status

NAMES = (
    "results",
    "search",
    "importances",
    "pooled",
    "comparisons",
    "effects",
    "interactions",
    "gradients",
    "left_out",
    "runs",
    "curves",
    "settings",
    "versions",
)
"""The names of all tables that a report may have."""


def tables(study: Study) -> list[Table]:
    """Return the tables of a study, without empty ones."""
    made = (
        _results(study),
        _search(study),
        _importances(study),
        _pooled(study),
        _comparisons(study),
        _effects(study),
        _interactions(study),
        _gradients(study),
        _unfinished(study),
        _runs(study),
        _curves(study),
        _settings(study),
        _versions(study),
    )
    return [table for table in made if table.rows]


def _results(study: Study) -> Table:
    scored = ("n", "mean", "median", "IQM", "area under the curve", "steps to threshold", "reached it", "steps/s")
    rows = [
        (
            s.cell.environment,
            s.cell.name,
            n_scored(s),
            s.mean,
            s.median,
            s.iqm,
            s.area,
            None if s.reached is None else round(s.reached),
            f"{s.n_reached} of {s.n_curves}",
            s.steps_per_second,
        )
        for s in study.scores
    ]
    thresholds = ", ".join(f"{number(value)} ({environment})" for environment, value in study.thresholds.items())
    note = (
        f"Scores: {study.metric.description}. In brackets: 95% intervals over seeds, from {FEWEST_FOR_MEANS} seeds on; "
        f"of the median and the IQM (the mean of the middle half), from {FEWEST_FOR_RESAMPLING} on. The area is the "
        f"mean of {study.curve_tag} over training. Steps to threshold: of the median run, to {thresholds}. "
        "Steps/s: of the whole population that a run trained in."
    )
    return Table("results", "Results", note, ("environment", "experiment", *scored), tuple(rows))


def n_scored(scores: CellScores) -> str:
    """Return how many runs of a cell have a score, and of how many if some have none, as text."""
    n_runs = len(scores.cell.records)
    return f"n = {len(scores.by_seed)}" + (f" of {n_runs}" if n_runs > len(scores.by_seed) else "")


def _search(study: Study) -> Table:
    keys = tuple(dict.fromkeys(key for search in study.searches for key in search.keys))
    rows = [
        (search.study, trial.number, trial.state, trial.latest, *(_setting(trial.params.get(key)) for key in keys))
        for search in study.searches
        for trial in sorted(search.trials, key=lambda trial: (trial.value is None, -(trial.latest or 0.0)))
    ]
    how = "; ".join(f"{search.study}: {search.how}" for search in study.searches)
    note = f"Values: interquartile means over seeds; of pruned trials, the last before they were given up. {how}."
    return Table("search", "Trials", note, ("study", "trial", "state", "value", *keys), tuple(rows))


def _setting(value: str | float | None) -> str | None:
    return f"{value:.4g}" if isinstance(value, (int, float)) else value


def _importances(study: Study) -> Table:
    rows = [(search.study, key, share) for search in study.searches for key, share in search.importances.items()]
    note = "How much of the spread of the trials' values each setting explains, by PED-ANOVA (Watanabe et al., 2023)."
    return Table("importances", "What mattered", note, ("study", "setting", "share"), tuple(rows))


def _pooled(study: Study) -> Table:
    rows = tuple((p.name, f"n = {p.n}", p.mean, p.median, p.iqm) for p in study.pooled)
    note = (
        f"Over {', '.join(study.grid.environments)}. Scores are normalized by environment: its lowest run here is 0 "
        "and its highest 1. In brackets: 95% intervals over the seeds of each environment."
    )
    return Table("pooled", "Over all environments", note, ("experiment", "n", "mean", "median", "IQM"), rows)


def _comparisons(study: Study) -> Table:
    compared = ("difference of means", "P(better)", "p", "p corrected", "seeds needed", "in a sentence")
    columns = ("environment", "experiment", "baseline", "n", "pairs", *compared)
    rows = tuple(
        (
            c.cell.environment,
            c.cell.name,
            c.baseline.name,
            f"n = {c.n}",
            ("by seed" if c.is_paired else "unpaired") + (f", {c.n_left_out} runs left out" if c.n_left_out else ""),
            c.difference,
            c.probability,
            c.p,
            c.p_corrected,
            _seeds(c.seeds_to_settle),
            c.sentence,
        )
        for c in study.comparisons
    )
    note = (
        f"Baseline: {study.baseline.name}. Runs with the same seed are compared in pairs, unless these are too few for "
        "any difference to be certain. P(better): how often a run of the experiment has a higher score than one of the "
        f"baseline. p: of equal means, by permutation; corrected after Holm over all {len(rows)} comparisons. Seeds "
        "needed: to find a difference as large as this, among scores that vary as these, in four of five studies."
    )
    return Table("comparisons", "Comparisons", note, columns, rows, for_files=("in a sentence",))


def _seeds(needed: int | None) -> Value:
    return needed if needed is None or needed <= MOST_SEEDS else about(needed)


def _effects(study: Study) -> Table:
    columns = ("environment", "factor", "level", "of", "mean", "compared with", "difference")
    rows = tuple(
        (
            e.environment,
            e.factor,
            e.level,
            f"{e.n_cells} experiment{'s' if e.n_cells > 1 else ''}",
            e.mean,
            e.reference,
            e.difference,
        )
        for e in study.effects
    )
    note = (
        "The mean score over all experiments with a level; every experiment weighs the same. These are no tests: where "
        "there is no difference, one interval in twenty excludes 0."
    )
    return Table("effects", "Main effects", note, columns, rows)


def _interactions(study: Study) -> Table:
    columns = ("environment", "factors", "levels", "mean", "departure")
    rows = tuple(
        (i.environment, " x ".join(i.factors), ", ".join(i.levels), i.mean, i.departure) for i in study.interactions
    )
    note = (
        "Departure: how far two levels together are from the sum of what each does on average. An interval without 0 "
        "hints at an interaction, and proves none: where there is none, one in twenty does so by chance."
    )
    return Table("interactions", "Interactions", note, columns, rows)


def _gradients(study: Study) -> Table:
    rows: list[tuple[Value, ...]] = []
    for g in study.gradients:
        for part, norms in g.norms.items():
            shares = list(g.clip_share.get(part, {}).values())
            before, after = float(norms.before.values.mean()), float(norms.after.values.mean())
            share = float(np.mean(shares)) if shares else None
            rows.append((g.cell.environment, g.cell.name, part, before, after, share))
    columns = ("environment", "experiment", "part", "norm before clipping", "norm after", "share of updates clipped")
    note = "Means over training and runs. Parts called optim_ are what an optimizer steps; the others are modules."
    return Table("gradients", "Gradient norms", note, columns, tuple(rows))


def _unfinished(study: Study) -> Table:
    rows: list[tuple[Value, ...]] = [
        (
            str(record.directory),
            record.status,
            record.steps,
            (record.error or "").splitlines()[0] if record.error else "",
        )
        for record in study.unfinished
    ]
    rows += [(str(r.directory), "no score", r.steps, study.metric.missing) for r in study.unscored]
    rows += [(str(path), "unreadable", None, why) for path, why in study.runs.unreadable.items()]
    rows += [(str(path), "repeat", None, "equal to another run, seed included") for path in study.grid.repeats]
    if study.runs.n_unstarted:
        rows.append(("(no directory)", "not begun", None, f"{study.runs.n_unstarted} runs of the sweep"))
    return Table(
        "left_out",
        "Runs that do not count",
        "No mean and no comparison contains them.",
        ("run", "status", "steps", "why"),
        tuple(rows),
    )


def _runs(study: Study) -> Table:
    factors = tuple(study.grid.factors)
    groups = tuple(dict.fromkeys(group for gradients in study.gradients for group in gradients.clip_share))
    reached = ("status", "score", "evaluation", "training", "area", "steps", "steps/s")
    clipped = tuple(f"{group} clipped" for group in groups)
    columns = ("environment", *factors, "seed", *reached, *clipped, "directory")
    rows = []
    for scores, curve, gradients in zip(study.scores, study.curves, study.gradients, strict=True):
        areas = dict(zip(curve.seeds, curve.values.mean(1).tolist(), strict=True)) if len(curve.seeds) else {}
        rows += [
            (
                record.environment,
                *(scores.cell.levels[factor] for factor in factors),
                record.seed,
                record.status,
                scores.by_seed.get(record.seed),
                record.evaluated.mean if record.evaluated else None,
                record.training_return,
                areas.get(record.seed),
                record.steps,
                record.steps_per_second,
                *(gradients.clip_share.get(group, {}).get(record.seed) for group in groups),
                str(record.directory),
            )
            for record in scores.cell.records
        ]
    return Table("runs", "Every run", "", columns, tuple(rows))


def _curves(study: Study) -> Table:
    rows: list[tuple[Value, ...]] = []
    for cell, curve in zip(study.grid, study.curves, strict=True):
        if not len(curve.seeds):
            continue
        band = curve.band
        lows, highs = band if band is not None else (None, None)
        for k, (step, mean) in enumerate(zip(curve.steps.tolist(), curve.mean.tolist(), strict=True)):
            inside = None if lows is None or highs is None else Interval(float(lows[k]), float(highs[k]))
            rows.append((cell.environment, cell.name, round(step), Estimate(mean, inside), f"n = {len(curve.seeds)}"))
    columns = ("environment", "experiment", "step", study.curve_tag, "n")
    return Table("curves", "Learning curves", "", columns, tuple(rows))


def _settings(study: Study) -> Table:
    """Return the settings that all runs of an environment share; with the factors, they suffice to repeat the runs."""
    rows = []
    for environment in study.grid.environments:
        records = [record for cell in study.grid.of(environment) for record in cell.records]
        keys = dict.fromkeys(key for record in records for key in record.settings)
        for key in keys:
            values = {record.settings.get(key, ABSENT) for record in records}
            if key in SOMETIMES_WITHOUT_EFFECT:
                values.discard(ABSENT)  # runs that do not read a setting can be given the value of the others
            if len(values) == 1:
                rows.append((environment, key, values.pop()))
    return Table("settings", "Settings in common", "", ("environment", "setting", "value"), tuple(rows))


def _versions(study: Study) -> Table:
    used = versions_used(study.runs.records)
    rows = tuple((package, ", ".join(versions)) for package, versions in used.items())
    return Table("versions", "Versions", "", ("package", "version"), rows)


def run_counts(study: Study) -> str:
    """Return how many runs have each status, as text."""
    counts = Counter(record.status for cell in study.grid for record in cell.records)
    parts = [f"{counts.pop(Status.DONE, 0)} done", *(f"{n} {status}" for status, n in sorted(counts.items()))]
    parts += [f"{study.runs.n_unstarted} not begun"] if study.runs.n_unstarted else []
    parts += [f"{len(study.runs.unreadable)} unreadable"] if study.runs.unreadable else []
    parts += [f"{len(study.grid.repeats)} repeats left out"] if study.grid.repeats else []
    return ", ".join(parts)


def commands(study: Study) -> list[str]:
    """Return the commands that made the runs and this report, as run from the folder that the paths start in."""
    swept = [
        f"acexp {shlex.join(command.arguments)}" for sweep in study.runs.sweeps.values() for command in sweep.commands
    ]
    alone = [record.command for record in study.runs.records if record.directory.parent not in study.runs.sweeps]
    question = study.question
    options = [("--baseline", question.baseline), ("--metric", question.metric), ("--threshold", question.threshold)]
    given = [part for name, value in options if value is not None for part in (name, str(value))]
    return [*dict.fromkeys([*swept, *filter(None, alone)]), shlex.join(["acexp", "report", *study.places, *given])]
