"""Write the measured parts of docs/results.md and README.md, and their charts, from studies/data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import elsewhere
import matplotlib as mpl
import matplotlib.pyplot as plt
from questions import BESIDE_SCORES, PPO, STUDIES, TITLES, Study
from scored import has, load, scored, with_data

from acexp.config.application import compose
from acexp.core.numbers import number
from acexp.report.cells import Cell
from acexp.report.comparisons import Comparison, about
from acexp.report.inference import MOST_SEEDS, band
from acexp.report.scores import AREA, EVALUATION, TRAINING
from acexp.report.table import Value, to_markdown
from acexp.report.traces import colour_of, dash_of

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = (DOCS / "results.md", DOCS.parent / "README.md")
PICTURES = DOCS / "results"
SECTION = re.compile(r"(<!-- measured: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
SHOWN = {"cliffwalking": (-200.0, 0.0), "lunarlander": (-400.0, None)}
"""The ends of the vertical axis, where a random policy's returns and their intervals would flatten all curves."""

PANELS_IN_ROW = 4

# The lowest and the highest; docs/results.md lists every figure with its source.
PUBLISHED = {
    "cliffwalking": ("none found; -13 is the optimum", "none found"),
    "lunarlander": ("27 (v3, 300k) to 156 (v2, 200k, one run)", "183 (v3, 300k) to 242 (v2, 1M, one run)"),
    "halfcheetah": ("1,830 (v3) to 3,041 (v3, one run)", "1,443 (v4) to 5,819 (v3, one run), 6,241 (v5, 10M)"),
    "hopper": ("734 (v3, one run) to 1,224 (v3)", "2,383 (v4) to 2,609 (v3), 1,654 (v5, 4M)"),
    "walker2d": ("578 (v3, one run) to 1,219 (v3)", "2,288 (v4) to 3,588 (v3), 4,379 (v5, 10M)"),
    "ant": ("-16 (v3, one run) to 3,532 (v3)", "1,327 (v3, one run) to 3,258 (v3), 2,138 (v5, 10M)"),
    "pong": ("17.3 (10M, one run) to 19.7 (10M)", "20.7 (10M) to 21.0 (10M, one run)"),
}
"""The published results of A2C and of PPO, with the environment's version, and the env steps if not a million."""

REACHED = DOCS.parent / "acexp" / "commands" / "reached.json"

ENGINES = {"cliffwalking": "tabular", "lunarlander": "envpool", "halfcheetah": "mujoco", "pong": "ale"}
"""The engines of studies that did not save theirs; docs/results.md says how they are known."""

SIMULATORS = {
    "tabular": "gymnasium",
    "gymnasium": "gymnasium",
    "envpool": "envpool",
    "mujoco": "mujoco",
    "ale": "ale-py",
}
"""The package with the simulator of each engine."""


def results(study: Study) -> str:
    """Return a table of the results of every cell."""
    columns = ("experiment", "n", "mean", "median", "IQM", "area under the curve", "training")
    rows: list[list[Value]] = [
        [by.cell.name, f"n = {len(by.by_seed)}", by.mean, by.median, by.iqm, by.area, last.mean]
        for by, last in zip(scored(study), scored(study, TRAINING), strict=True)
    ]
    return to_markdown(columns, rows)


def compared(study: Study) -> list[tuple[str, Comparison]]:
    """Return the comparisons of all reports of a study, each with the name of what it compares."""
    named = {"score": EVALUATION, "training": TRAINING, "area": AREA}
    beside = BESIDE_SCORES.get(study.environment)
    return [
        (of, comparison)
        for of in ("score", *([beside] if beside else []))
        for levels in study.baselines
        for comparison in scored(study, named[of]).compare(levels)
    ]


def comparisons(study: Study) -> str:
    """Return a table of comparisons with the baselines; those that are equal seed by seed are only counted."""
    rows: list[list[Value]] = []
    n_equal = 0
    for of, c in compared(study):
        if c.difference.interval == (0.0, 0.0):
            n_equal += 1
            continue
        seeds = c.seeds_to_settle
        needed = about(seeds) if seeds is not None and seeds > MOST_SEEDS else seeds
        rows.append([c.cell.name, c.baseline.name, of, c.difference, c.probability, c.p_corrected, needed])
    columns = ("experiment", "against", "of", "difference", "P(better)", "p, corrected", "seeds needed")
    note = f"{n_equal} comparisons of scores are left out: the runs reach the same with each seed." if n_equal else ""
    return "\n\n".join(part for part in (to_markdown(columns, rows) if rows else "", note) if part)


def summary() -> str:
    """Return a table of the result of each preset, beside published results."""
    rows: list[list[Value]] = []
    for study in with_data("preset"):
        preset = compose([f"experiment={study.environment}"])
        levels = {"arch": preset.arch.name, "optim": preset.optim.name}
        found = scored(study)
        (mine,) = (each for each in found if all(levels[f] == level for f, level in each.cell.levels.items()))
        a2c, ppo = PUBLISHED[study.environment]
        seeds = f"{len(mine.values)} seeds, {number(mine.values.min())} to {number(mine.values.max())}"
        by_ppo = STUDIES.get(f"{study.environment}-{PPO}")
        here = "" if by_ppo is None or not has(by_ppo, "runs") else next(iter(scored(by_ppo))).mean
        rows.append([TITLES[study.environment], preset.total_steps, mine.mean, seeds, a2c, here, ppo])
    elsewhere_ = [f"{name} elsewhere (1M, or as said)" for name in ("A2C", "PPO")]
    columns = ("", "env steps", "acexp's A2C, mean", "over", elsewhere_[0], "acexp's PPO, mean (1M)", elsewhere_[1])
    return to_markdown(columns, rows)


def engines() -> str:
    """Return a table of the engine and the versions that each study was made with."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for study in STUDIES.values():
        if has(study, "runs"):
            groups.setdefault((study.environment, *_made_with(study)), []).append(study.question)
    ordered = sorted(groups.items(), key=lambda group: list(TITLES).index(group[0][0]))
    rows = [[TITLES[name], ", ".join(questions), *made] for (name, *made), questions in ordered]
    return to_markdown(("", "studies", "engine", "versions"), rows)


def _made_with(study: Study) -> tuple[str, str]:
    """Return the engine of a study, and the versions as they were recorded."""
    if not has(study, "settings"):
        return ENGINES[study.environment], "not recorded"
    settings = load(study, "settings").set_index("setting")["value"]
    versions = load(study, "versions").set_index("package")["version"]
    engine = str(settings["engine.name"])
    packages = ("acexp", "torch", "numpy", SIMULATORS[engine])
    return engine, ", ".join(f"{package} {versions[package]}" for package in packages)


def reached() -> str:
    """Return what each layout of each preset reached, as the JSON that acexp shows beside the result of a run."""
    entries = []
    for study in [*with_data("preset"), *with_data(PPO)]:
        for scores in scored(study):
            levels = [f"{factor}={level}" for factor, level in scores.cell.levels.items()]
            seed, identity = _first_run(study, scores.cell)
            first = compose([f"experiment={study.preset}", *levels, f"seed={seed}"])
            assert scores.mean is not None
            interval = scores.mean.interval
            entries.append(
                {
                    "settings": " ".join([f"experiment={study.preset}", *levels]),
                    "environment": first.env.id,
                    "total_steps": first.total_steps,
                    "seed": seed,
                    "identity": identity,
                    "n": len(scores.values),
                    "mean": round(scores.mean.value, 3),
                    "low": None if interval is None else round(interval.low, 3),
                    "high": None if interval is None else round(interval.high, 3),
                    "worst": scores.values.min(),
                    "best": scores.values.max(),
                }
            )
    return json.dumps(entries, indent=1, default=float) + "\n"


def _first_run(study: Study, cell: Cell) -> tuple[int, str]:
    """Return the seed of the first run of a cell, and what identifies that run."""
    runs = load(study, "runs")
    for factor, level in cell.levels.items():
        runs = runs[runs[factor].astype(str) == level]
    return int(runs["seed"].iloc[0]), str(runs["identity"].iloc[0])


def curves(question: str, studies: Sequence[Study]) -> str:
    """Draw learning curves with a panel for each environment, in rows, and return the path of the picture.

    A band is the interval of the mean at each step. Studies of which only the means were kept have none.
    """
    n_columns = min(len(studies), PANELS_IN_ROW)
    n_rows = math.ceil(len(studies) / n_columns)
    size = (max(4.2 * n_columns, 5.0), 3.6 * n_rows)
    figure, panels = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    for axis in panels.flat[len(studies) :]:
        axis.set_axis_off()
    for axis, study in zip(panels.flat, studies, strict=False):
        for i, (name, cell) in enumerate(load(study, "curves").groupby("experiment", sort=False)):
            steps, colour = cell["step"] / 1e3, colour_of(i)
            values = cell.drop(columns=["environment", "experiment", "step"]).dropna(axis=1, how="all").to_numpy().T
            axis.plot(steps, values.mean(0), color=colour, linestyle=LINES[dash_of(i)], linewidth=1.3, label=name)
            if (inside := band(values)) is not None:
                axis.fill_between(steps, *inside, color=colour, alpha=0.12, linewidth=0)
        axis.set_title(TITLES[study.environment])
        axis.set_xlabel("thousand env steps")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=6)
        axis.set_ylim(*SHOWN.get(study.environment, (None, None)))
    for first in panels[:, 0]:
        first.set_ylabel("return of training episodes")
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{question}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path.relative_to(DOCS).as_posix()


TABLES = {"summary": summary, "engines": engines, elsewhere.NAME: elsewhere.section}
"""The tables of several studies, by the names of their sections."""


def section(name: str) -> str:
    """Return the content of a section; `name`: a study's, a question's for its picture, or one of TABLES."""
    if name in TABLES:
        return TABLES[name]()
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
