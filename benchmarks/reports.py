"""Measure how long `acexp report` takes, and how large its page is.

    python benchmarks/reports.py                       measures this version
    python benchmarks/reports.py --against ../other    measures another checkout of acexp by turns, and only prints that

Sweeps of two architectures and four bounds of gradients, over 25 seeds and more. Two runs are trained; the others are
copies of them with other settings, and each has a log of a thousand lines, as a million steps give, with numbers of its
own. Prints a table and writes results/reports.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tables import report_table, save

REPOSITORY = Path(__file__).resolve().parent.parent
BOUNDS = (0.1, 0.5, 5.0, 50.0)
SEEDS = (25, 60, 125)
LINES = 1_000
REPEATS = 5
TRAINED = ("-m", "env=cliffwalking", "arch=separate,shared", "seed=0", "total_steps=20000", "name=trained")
LEFT_OUT = ("checkpoint.pt", "policy.safetensors", "metrics.jsonl")


def acexp(checkout: Path, folder: Path, *arguments: str) -> float:
    """Return the seconds of a command of the acexp in a checkout."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(checkout), os.environ.get("PYTHONPATH", "")))},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - begun


def copy(run: Path, target: Path, bound: float, seed: int) -> None:
    """Write a run like another one, but with this bound and seed and a long log."""
    target.mkdir(parents=True)
    for file in run.iterdir():
        if file.is_file() and file.name not in LEFT_OUT and not file.name.startswith(("events", ".")):
            (target / file.name).write_bytes(file.read_bytes())
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    config["seed"], config["clip"]["max_norm"] = seed, bound
    (target / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    rng = np.random.default_rng([seed, int(10 * bound)])
    summary["mean_return_last_100"] += 10.0 * rng.normal()
    (target / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    log = long_log([json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()], rng)
    (target / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in log), encoding="utf-8")


def long_log(lines: Sequence[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return LINES lines up to the same step: each of the given ones several times, with noise."""
    found = []
    for i in range(LINES):
        line = lines[i * len(lines) // LINES]
        noisy = dict(
            zip(line, (np.array(list(line.values())) * rng.normal(1.0, 0.01, len(line))).tolist(), strict=True)
        )
        found.append({**noisy, "step": lines[-1]["step"] * (i + 1) // LINES})
    return found


def sweeps(folder: Path, seeds: Sequence[int]) -> dict[str, Path]:
    """Make a sweep for each number of seeds; return their directories by the number of runs."""
    acexp(REPOSITORY, folder, *TRAINED)
    trained = sorted(path.parent for path in folder.glob("outputs/sweeps/trained/*/metrics.jsonl"))
    made = {}
    for n_seeds in seeds:
        directory = folder / f"seeds{n_seeds}"
        for run, bound, seed in itertools.product(trained, BOUNDS, range(n_seeds)):
            copy(run, directory / f"{run.name},{bound},{seed}", bound, seed)
        made[f"{len(trained) * len(BOUNDS) * n_seeds:,} runs"] = directory
    return made


def main() -> None:
    """Measure reports of all sizes by turns, print tables and save the figures of this version."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="CHECKOUT", type=Path, help="measure another version, too")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="the numbers of seeds; each has eight runs")
    options = parser.parse_args()
    checkouts = [REPOSITORY, *([options.against.resolve()] if options.against else [])]
    found: dict[Path, dict[str, Any]] = {checkout: {} for checkout in checkouts}
    with tempfile.TemporaryDirectory() as scratch:
        made = sweeps(Path(scratch), options.seeds)
        for _, (name, directory), checkout in itertools.product(range(REPEATS), made.items(), checkouts):
            figures = found[checkout].setdefault(name, {"seconds": []})
            figures["seconds"].append(acexp(checkout, Path(scratch), "report", str(directory)))
            figures["MB"] = (directory / "report.html").stat().st_size / 1e6
    for checkout in checkouts:
        print(f"{checkout}\n\n{report_table(found[checkout])}\n")  # noqa: T201
    save("reports", found[REPOSITORY])


if __name__ == "__main__":
    main()
