"""Write the measured parts of docs/results.md and README.md, and their charts, from studies/data."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from questions import STUDIES, TITLES, Study
from run import DATA, read

from acexp.config.application import compose
from acexp.report.cells import name_of
from acexp.report.inference import Interval
from acexp.report.numbers import number
from acexp.report.scores import Estimate
from acexp.report.table import Value, to_markdown
from acexp.report.traces import colour_of, dash_of

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = (DOCS / "results.md", DOCS.parent / "README.md")
PICTURES = DOCS / "results"
SECTION = re.compile(r"(<!-- measured: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
LOWEST_SHOWN = {"cliffwalking": -200.0, "lunarlander": -400.0}
"""The lower end of the vertical axis, on environments where a random policy's returns would flatten all curves."""

# From rl-baselines3-zoo's benchmark page (one run each), SLM-Lab v3 (4 runs), tianshou's MuJoCo benchmark (v3, 10 runs,
# the best of each) and, for Pong, Schulman et al. (2017); docs/results.md lists the same sources.
PUBLISHED = {
    "cliffwalking": ("none found; -13 is the optimum", "none found"),
    "lunarlander": ("156 (200k, 1 run), 27 (300k, 4 runs)", "242 (1M, 1 run)"),
    "halfcheetah": ("3,041 (1M, 1 run), 1,830 (1M, 10 runs)", "5,784 (1M, 10 runs)"),
    "pong": ("17.3 and 19.7 (10M)", "21.0 (10M)"),
}
"""The published results of A2C and of PPO."""

REACHED = DOCS.parent / "acexp" / "commands" / "reached.json"
FEWEST_FOR_INTERVAL = 3
"""An interval over two seeds would be these two values."""


def load(study: Study, table: str) -> pd.DataFrame:
    """Return a table of a study."""
    return read(DATA / study.name / f"{table}.csv")


def estimate(row: pd.Series, column: str) -> Value:
    """Return a number with its interval if it has one, or None if there is no number."""
    value, low, high = (row[name] for name in (column, f"{column} low", f"{column} high"))
    if pd.isna(value):
        return None
    return Estimate(value, None if pd.isna(low) else Interval(low, high))


def results(study: Study) -> str:
    """Return a table of the results of every cell."""
    runs = load(study, "runs")
    training = runs.groupby(experiments(runs))["training"].mean()
    columns = ("mean", "median", "IQM", "area under the curve")
    rows: list[list[Value]] = [
        [row["experiment"], row["n"], *(estimate(row, column) for column in columns), training[row["experiment"]]]
        for _, row in load(study, "results").iterrows()
    ]
    return to_markdown(("experiment", "n", *columns, "training"), rows)


def experiments(runs: pd.DataFrame) -> list[str]:
    """Return the name of the experiment that each run belongs to."""
    factors = list(runs.columns[1 : runs.columns.get_loc("seed")])
    return [name_of({factor: str(row[factor]) for factor in factors}) for _, row in runs.iterrows()]


def comparisons(study: Study) -> str:
    """Return a table of comparisons with the baselines; those that are equal seed by seed are only counted."""
    rows: list[list[Value]] = []
    n_equal = 0
    for _, row in load(study, "comparisons").iterrows():
        if row["difference of means low"] == row["difference of means high"] == 0.0:
            n_equal += 1
            continue
        numbers = [float(row["P(better)"]), float(row["p corrected"])]
        needed = row["seeds needed"]  # "over 1,000" if there are too many
        needed = None if pd.isna(needed) else needed if isinstance(needed, str) else int(needed)
        compared = (row["experiment"], row["baseline"], row["of"])
        rows.append([*compared, estimate(row, "difference of means"), *numbers, needed])
    columns = ("experiment", "against", "of", "difference", "P(better)", "p, corrected", "seeds needed")
    note = f"{n_equal} comparisons of scores are left out: the runs reach the same with each seed." if n_equal else ""
    return "\n\n".join(part for part in (to_markdown(columns, rows) if rows else "", note) if part)


def summary() -> str:
    """Return a table of the result of each preset, beside published results."""
    rows: list[list[Value]] = []
    for study in with_data("preset"):
        preset = compose([f"experiment={study.environment}"])
        runs = load(study, "runs")
        levels = {f: level for f, level in (("arch", preset.arch.name), ("optim", preset.optim.name)) if f in runs}
        for factor, level in levels.items():
            runs = runs[runs[factor] == level]
        found = load(study, "results").set_index("experiment")
        lowest, highest = (number(x) for x in (runs["score"].min(), runs["score"].max()))
        a2c, ppo = PUBLISHED[study.environment]
        mean = estimate(found.loc[name_of(levels)], "mean")
        seeds = f"{len(runs)} seeds, {lowest} to {highest}"
        rows.append([TITLES[study.environment], preset.total_steps, mean, seeds, a2c, ppo])
    return to_markdown(("", "env steps", "acexp's A2C, mean", "over", "A2C elsewhere", "PPO"), rows)


def reached() -> str:
    """Return what each layout of each preset reached, as the JSON that acexp shows beside the result of a run."""
    entries = []
    for study in with_data("preset"):
        runs, found = load(study, "runs"), load(study, "results").set_index("experiment")
        factors = list(runs.columns[1 : runs.columns.get_loc("seed")])
        for name, group in runs.groupby(experiments(runs), sort=False):
            levels = [f"{factor}={group[factor].iloc[0]}" for factor in factors]
            first = compose([f"experiment={study.environment}", *levels, f"seed={group['seed'].iloc[0]}"])
            row, has_interval = found.loc[name], len(group) >= FEWEST_FOR_INTERVAL
            entries.append(
                {
                    "settings": " ".join([f"experiment={study.environment}", *levels]),
                    "environment": first.env.id,
                    "total_steps": first.total_steps,
                    "seed": first.seed,
                    "identity": group["identity"].iloc[0],
                    "n": len(group),
                    "mean": row["mean"],
                    "low": row["mean low"] if has_interval else None,
                    "high": row["mean high"] if has_interval else None,
                    "worst": group["score"].min(),
                    "best": group["score"].max(),
                }
            )
    return json.dumps(entries, indent=1, default=float) + "\n"


def curves(question: str, studies: Sequence[Study]) -> str:
    """Draw learning curves with a panel for each environment, and return the path of the picture."""
    width = max(4.2 * len(studies), 5.0)
    figure, panels = plt.subplots(1, len(studies), figsize=(width, 3.6), layout="constrained", squeeze=False)
    for axis, study in zip(panels[0], studies, strict=True):
        data = load(study, "curves")
        tag = data.columns[3]
        for i, (name, cell) in enumerate(data.groupby("experiment", sort=False)):
            steps, colour = cell["step"] / 1e3, colour_of(i)
            axis.plot(steps, cell[tag], color=colour, linestyle=LINES[dash_of(i)], linewidth=1.3, label=name)
            axis.fill_between(steps, cell[f"{tag} low"], cell[f"{tag} high"], color=colour, alpha=0.12, linewidth=0)
        axis.set_title(TITLES[study.environment])
        axis.set_xlabel("thousand env steps")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=6)
        axis.set_ylim(bottom=LOWEST_SHOWN.get(study.environment))
    panels[0][0].set_ylabel("return of training episodes")
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{question}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path.relative_to(DOCS).as_posix()


def with_data(question: str) -> list[Study]:
    """Return the studies of a question that have been run."""
    return [s for s in STUDIES.values() if s.question == question and (DATA / s.name / "results.csv").exists()]


def section(name: str) -> str:
    """Return the content of a section; `name`: a study's, a question's for its picture, or `summary`."""
    if name == "summary":
        return summary()
    if name in STUDIES:
        study = STUDIES[name]
        commands = "\n".join(f"    {command}" for command in study.commands)
        parts = [commands]
        if study not in with_data(study.question):
            return "\n\n".join((*parts, "Not measured yet."))
        parts += [results(study), *([comparisons(study)] if study.baselines else [])]
        return "\n\n".join(parts)
    found = with_data(name)
    return f"![learning curves]({curves(name, found)})" if found else ""


def main() -> None:
    """Fill every section of both pages."""
    mpl.rcParams.update({"svg.hashsalt": "acexp", "font.size": 8})
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        path.write_text(SECTION.sub(lambda m: f"{m[1]}\n{section(m[2])}\n\n{m[4]}", page), encoding="utf-8")
    REACHED.write_text(reached(), encoding="utf-8")


if __name__ == "__main__":
    main()
