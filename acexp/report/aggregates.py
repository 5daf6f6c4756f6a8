"""Curves of experiments for TensorBoard: the mean over seeds, and the interval around it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from acexp.report.cells import Cell, divide
from acexp.report.curves import curves
from acexp.report.records import collect
from acexp.runs import run_directory

FOLDER = "aggregates"
MEAN, LOW, HIGH = "mean", "low", "high"


def aggregate(directory: Path) -> list[Path]:
    """Write one TensorBoard run for each experiment below a directory, in place of earlier ones; return their paths.

    Every tag T that all finished runs of an experiment have becomes `T/mean`, `T/low` and `T/high` in a margin chart.
    Raises UserError if there is no run, OSError if the files cannot be written.
    """
    target = directory / FOLDER
    grid = divide(collect(directory).records)
    _clear(target)
    several = len(grid.environments) > 1
    made = []
    for cell in grid:
        tags = _common_tags(cell)
        if tags:
            name = f"{cell.environment}, {cell.name}" if several else cell.name
            made.append(target / re.sub(r"[^\w.,=+\[\]-]+", "_", name))
            _write(made[-1], cell, tags)
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


def _write(directory: Path, cell: Cell, tags: Iterable[str]) -> None:
    writer = SummaryWriter(str(directory))
    charts = {}
    for i, tag in enumerate(tags):
        tag_curves = curves(cell, tag)
        band = tag_curves.band(i)
        lows, highs = band if band is not None else (tag_curves.mean, tag_curves.mean)
        for step, *values in zip(
            tag_curves.steps.tolist(), tag_curves.mean.tolist(), lows.tolist(), highs.tolist(), strict=True
        ):
            parts = zip((MEAN, LOW, HIGH), values, strict=True)
            summary = Summary(value=[Summary.Value(tag=f"{tag}/{part}", simple_value=x) for part, x in parts])
            writer._get_file_writer().add_summary(summary, round(step))  # type: ignore[no-untyped-call]
        charts[tag] = ["Margin", [f"{tag}/{part}" for part in (MEAN, LOW, HIGH)]]
    writer.add_custom_scalars({"means over seeds, and their 95% intervals": charts})
    writer.close()
