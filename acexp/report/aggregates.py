"""Curves of experiments for TensorBoard: the mean over seeds, and the interval around it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from acexp.metrics.tags import EPISODE_RETURN, EVALUATED_RETURN
from acexp.report.cells import Cell, divide
from acexp.report.curves import curves
from acexp.report.records import collect
from acexp.runs import run_directory

FOLDER = "aggregates"
INTERVAL = "interval"
"""The first part of the tags of intervals, which groups their cards: TensorBoard draws margins of logged tags only."""

FIRST_TAGS = (EVALUATED_RETURN, EPISODE_RETURN)
"""The tags whose charts come first."""


def aggregate(directory: Path) -> list[Path]:
    """Write one TensorBoard run for each experiment below a directory, in place of earlier ones; return their paths.

    Every tag T that all finished runs of an experiment have becomes its mean, T, and the interval `interval/T/low` and
    `interval/T/high`, all in one margin chart.
    Raises UserError if there is no run, OSError if the files cannot be written.
    """
    target = directory / FOLDER
    grid = divide(collect(directory).records)
    _clear(target)
    several = len(grid.environments) > 1
    tags_of = [(cell, _common_tags(cell)) for cell in grid]
    layout = _charts({tag for _, tags in tags_of for tag in tags})
    made = []
    for cell, tags in tags_of:
        if tags:
            made.append(target / _run_name(cell, several=several))
            _write(made[-1], cell, tags, layout)
    return made


def _clear(target: Path) -> None:
    """Remove the event files that earlier calls wrote, and nothing else."""
    for events in target.glob("*/events.out.tfevents.*"):
        if not run_directory.is_claimed(events.parent):
            events.unlink()
            with suppress(OSError):
                events.parent.rmdir()  # fails if the directory holds other files, which stay


def _common_tags(cell: Cell) -> list[str]:
    tags = [record.series.keys() for record in cell.done]
    return sorted(set.intersection(*(set(each) for each in tags))) if tags else []


def _charts(tags: Iterable[str]) -> dict[str, list[object]]:
    """Return a margin chart for every tag, in the reverse of the order in which TensorBoard's page shows them."""
    ordered = sorted(tags, key=lambda tag: (FIRST_TAGS.index(tag) if tag in FIRST_TAGS else len(FIRST_TAGS), tag))
    return {tag: ["Margin", list(_with_interval(tag))] for tag in reversed(ordered)}


def _with_interval(tag: str) -> tuple[str, str, str]:
    """Return the tags of a mean and of the ends of its interval."""
    return tag, f"{INTERVAL}/{tag}/low", f"{INTERVAL}/{tag}/high"


def _run_name(cell: Cell, *, several: bool) -> str:
    """Return what the runs' directories have in common, if it is all but the seed; else the name of the cell."""
    shared = {re.sub(r"(^|,)seed=\d+$", "", str(record.directory)) for record in cell.records}
    if len(shared) == 1 and "" not in shared and len(cell.records) > 1 and not any("/" in name for name in shared):
        return shared.pop()
    name = f"{cell.environment}, {cell.name}" if several else cell.name
    return re.sub(r"[^\w.,=+\[\]-]+", "_", name)


def _write(directory: Path, cell: Cell, tags: Iterable[str], layout: dict[str, list[object]]) -> None:
    writer = SummaryWriter(str(directory))
    for tag in tags:
        tag_curves = curves(cell, tag)
        band = tag_curves.band
        lows, highs = band if band is not None else (tag_curves.mean, tag_curves.mean)
        columns = (tag_curves.mean.tolist(), lows.tolist(), highs.tolist())
        for step, *values in zip(tag_curves.steps.tolist(), *columns, strict=True):
            named = zip(_with_interval(tag), values, strict=True)
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in named])
            writer._get_file_writer().add_summary(summary, round(step))  # type: ignore[no-untyped-call]
    # TensorBoard merges the layouts of all runs: they have the same charts, so that none is added out of order.
    writer.add_custom_scalars({"means over seeds, and their 95% intervals": layout})
    writer.close()
