"""Write the measured figures into docs/performance.md, docs/scale.md and README.md, with charts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from scale import Costs
from scale import report as scale_tables
from tables import (
    WORK,
    Measurement,
    checkpoint_table,
    load,
    load_throughput,
    report_table,
    slow_table,
    startup_table,
    sweep_table,
    table,
    throughput_tables,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
PICTURES = DOCS / "performance"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
PARTS = ("engine", "acting", "estimate", "update", "record")


def bars(results: Mapping[str, Mapping[str, Measurement]], cores: int) -> None:
    """Draw the throughputs of each environment side by side, with a line from the smallest to the largest repeat."""
    kinds = ["SB3, one run", "acexp, one run", f"SB3, {cores} processes", "acexp, 8 runs", "acexp, 16 runs"]
    colors = ["#b0b0b0", "#4c78a8", "#808080", "#72a5d8", "#2b4f77"]
    figure, axes = plt.subplots(1, len(results), figsize=(11, 3.2), layout="constrained")
    for axis, (environment, found) in zip(axes, results.items(), strict=True):
        for i, (kind, color) in enumerate(zip(kinds, colors, strict=True)):
            rates = [rate / 1e3 for rate in found[kind].rates]
            axis.bar(i, statistics.median(rates), color=color, label=kind)
            axis.vlines(i, min(rates), max(rates), color="black", linewidth=1)
        axis.set_title(WORK[environment], fontsize=8)
        axis.set_xticks([])
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("thousand env steps per second")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(kinds), frameon=False)
    _save(figure, "throughput")


def lines(rates: Mapping[str, Mapping[str, float]]) -> None:
    """Draw the throughput over the number of members, environments and units."""
    figure, axes = plt.subplots(1, len(rates), figsize=(11, 3), layout="constrained")
    for axis, (name, by) in zip(axes, rates.items(), strict=True):
        axis.plot([int(size) for size in by], [rate / 1e3 for rate in by.values()], "o-", color="#4c78a8")
        axis.set_xscale("log", base=2)
        axis.set_xticks([int(size) for size in by], list(by))
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_xlabel(name)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("thousand env steps per second")
    _save(figure, "scaling")


def stacks(shares: Mapping[str, Mapping[str, float]]) -> None:
    """Draw the share of each part of the loop in the time of a step."""
    figure, axis = plt.subplots(figsize=(11, 2.8), layout="constrained")
    colors = ["#9ecae9", "#4c78a8", "#f2b15a", "#d9792b", "#bbbbbb"]
    names = list(shares)
    left = [0.0] * len(names)
    for part, color in zip(PARTS, colors, strict=True):
        widths = [shares[name][part] * 100 for name in names]
        axis.barh(names, widths, left=left, color=color, label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("percent of the time")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(PARTS), frameon=False)
    _save(figure, "shares")


def _save(figure: Any, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def _machine(facts: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts.items() if name not in ("processor", "cores"))
    return f"Measured on {facts['cores']} cores of one {facts['processor']}, with {versions}."


def _growth(rates: Mapping[str, Mapping[str, float]]) -> str:
    rows: list[tuple[str, Sequence[str], Mapping[str, Sequence[str]]]] = [
        (axis, list(by), {"env steps per second": [f"{rate:,.0f}" for rate in by.values()]})
        for axis, by in rates.items()
    ]
    return "\n\n".join(table(*row) for row in rows)


def performance_section() -> str:
    """Return the tables and charts of docs/performance.md, in Markdown."""
    (facts, results), scaling, startup = load_throughput(), load("scaling"), load("startup")
    cores = facts["cores"]
    rates, shares = scaling["figures"]["rates"], scaling["figures"]["shares"]
    bars(results, cores)
    lines(rates)
    stacks(shares)
    parts = {work: [f"{by[part]:.0%}" for part in PARTS] for work, by in shares.items()}
    return "\n\n".join(
        (
            _machine(facts),
            "## Throughput",
            "![throughput](performance/throughput.svg)",
            throughput_tables(results, cores),
            "## Throughput by number of members, environments and network width",
            "HalfCheetah, one process, one thread, 8 environments x 5 steps unless the axis says otherwise.",
            "![scaling](performance/scaling.svg)",
            _growth(rates),
            "## Share of each part in the training time",
            "![shares](performance/shares.svg)",
            table("share of the time", PARTS, parts),
            "## Environments that are slow in Python",
            "`python benchmarks/slow.py`: 8 environments, each in a process of its own with `engine=processes`.",
            slow_table(load("slow")["figures"]),
            "## Whole sweeps",
            "`python benchmarks/sweep.py`: the preset of HalfCheetah, as a user starts it.",
            sweep_table(load("sweep")["figures"]),
            "## Start-up",
            startup_table(startup["figures"]),
            "## Checkpoints",
            checkpoint_table(load("checkpoints")["figures"]),
            "## Reports",
            "`python benchmarks/reports.py`: eight experiments, 1,000 lines in the log of each run.",
            report_table(load("reports")["figures"]),
        )
    )


def scale_section() -> str:
    """Return the tables of docs/scale.md, the time of a sweep on more cores, in Markdown."""
    scale = load("scale")
    figures, machine = scale["figures"], scale["machine"]
    costs = {name: Costs(**found) for name, found in figures["costs"].items()}
    tables = scale_tables(costs, figures["checks"], figures["started"], machine["cores"])
    return f"{_machine(machine)}\n\n{tables}"


def readme_section() -> str:
    """Return the table of README.md, the throughput of one run and of many, in Markdown."""
    facts, results = load_throughput()
    cores = facts["cores"]
    kinds = ("SB3, one run", "acexp, one run", f"SB3, {cores} processes", "acexp, 16 runs")
    rows = {kind: [f"{by[kind].median:,.0f}" for by in results.values()] for kind in kinds}
    return table(f"env steps per second, {cores} cores", [WORK[work] for work in results], rows)


def fill(path: Path, content: str) -> None:
    """Replace the text between the marks of a page with `content`."""
    page = path.read_text(encoding="utf-8")
    head, tail = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    path.write_text(f"{head}\n\n{content}\n\n{tail}", encoding="utf-8")


def main() -> None:
    """Fill all pages with the measured figures."""
    mpl.rcParams.update({"svg.hashsalt": "acexp", "font.size": 9})
    fill(DOCS / "performance.md", performance_section())
    fill(DOCS / "scale.md", scale_section())
    fill(DOCS.parent / "README.md", readme_section())


if __name__ == "__main__":
    main()
