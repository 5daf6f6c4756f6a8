"""Compare observation normalizers on environments without a preset, with the settings of env=gym: `elsewhere.py`.

Runs that are done are not trained again. The choice `normalizer=auto` rests on the table.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
from scored import DATA, read

from acexp.config.saved import read_settings
from acexp.report.inference import Mean, holm, p_of_equal_means
from acexp.report.scores import SEED, Estimate
from acexp.report.table import Value, to_markdown

ROOT = Path(__file__).resolve().parent.parent
NAME = "any-normalizers"
RUNS = DATA / NAME / "runs.csv"

_WITH_BOUNDS = "normalizer=none,bounds,running"
SWEEPS = (
    f"env.id=Acrobot-v1,Pendulum-v1 {_WITH_BOUNDS}",
    f"env.id=LunarLander-v3 +env.kwargs.continuous=true,false {_WITH_BOUNDS}",
    f"env.id=ALE/Boxing-v5 +env.kwargs.obs_type=ram {_WITH_BOUNDS}",
    "env.id=CartPole-v1,HalfCheetah-v5,Hopper-v5 normalizer=none,running",
)
COMMANDS = tuple(f"acexp -m env=gym {sweep} total_steps=100000 seed='range(8)' name={NAME}" for sweep in SWEEPS)

RANGES = {
    "Acrobot-v1": "1 to 28",
    "Pendulum-v1": "1 to 8",
    "LunarLander-v3": "1 to 10",
    "LunarLander-v3 continuous=True": "1 to 10",
    "ALE/Boxing-v5 obs_type=ram": "255",
    "CartPole-v1": "0.4 to infinity",
    "HalfCheetah-v5": "infinity",
    "Hopper-v5": "infinity",
}
"""The environments in the order of the table, with the smallest and the largest bound of their observations."""


def save(sweep: Path) -> None:
    """Save the score of each run: the mean return of its last 100 training episodes."""
    rows = []
    for summary in sorted(sweep.glob("*/summary.json")):
        result, settings = json.loads(summary.read_text()), read_settings(summary.parent / "config.yaml")
        kwargs = [
            f"{key.rpartition('.')[2]}={value}" for key, value in settings.items() if key.startswith("env.kwargs.")
        ]
        shown = [each for each in kwargs if not each.endswith("=False")]
        rows.append(
            {
                "environment": " ".join([str(settings["env.id"]), *shown]),
                "engine": result["engine"],
                "normalizer": settings["normalizer.name"],
                "seed": settings["seed"],
                "training": result["mean_return_last_100"],
            }
        )
    RUNS.parent.mkdir(exist_ok=True)
    table = pd.DataFrame(rows).sort_values(["environment", "normalizer", "seed"])
    table.to_csv(RUNS, index=False, float_format="%.6g", lineterminator="\n")


def section() -> str:
    """Return the commands, and a table with a row for each environment: means, and `running` compared with `none`."""
    runs = read(RUNS)
    chosen = ("none", "bounds", "running")
    rows: list[list[Value]] = []
    p_values: list[float] = []
    for environment, bounds in RANGES.items():
        mine = runs[runs["environment"] == environment]
        none, by_bounds, running = (mine[mine["normalizer"] == name].set_index("seed")["training"] for name in chosen)
        assert list(none.index) == list(running.index)
        means = [Estimate.of_mean(Mean.of(each)) if len(each) else "refused" for each in (none, by_bounds, running)]
        added = Estimate.of_mean(Mean.of_difference(running, none, paired=True))
        rows.append([environment, mine["engine"].iloc[0], bounds, *means, added])
        p_values.append(p_of_equal_means(running, none, SEED, paired=True))
    rows = [[*row, p] for row, p in zip(rows, holm(p_values), strict=True)]
    columns = ("environment", "engine", "range", *chosen, "running - none", "p, corrected")
    return "\n\n".join(["\n".join(f"    {command}" for command in COMMANDS), to_markdown(columns, rows)])


def main() -> None:
    """Train what is missing, and save the scores."""
    for command in COMMANDS:
        code = subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=ROOT, check=False).returncode
        if code:
            sys.exit(code)
    save(ROOT / "outputs" / "sweeps" / NAME)


if __name__ == "__main__":
    main()
