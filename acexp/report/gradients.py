"""Gradient norms before and after clipping, and the gradients of actor and critic on a shared trunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acexp.metrics import tags
from acexp.report.cells import Cell
from acexp.report.curves import Curves, curves


@dataclass(frozen=True, slots=True)
class PartNorms:
    """The gradient norm of a part, before and after clipping, over training."""

    before: Curves
    after: Curves


@dataclass(frozen=True, slots=True)
class Gradients:
    """The gradients of a cell over training.

    Attributes:
        cell: the cell.
        norms: the norms of each part: first what was clipped (`optim_joint`), then the modules.
        clip_share: the share of updates in which clipping changed the gradient that an optimizer steps with, by group,
            then by seed.
        cosine: the cosine between the actor's and the critic's gradient on a shared trunk; empty if there is none.
    """

    cell: Cell
    norms: Mapping[str, PartNorms]
    clip_share: Mapping[str, Mapping[int, float]]
    cosine: Curves


def gradients(cell: Cell) -> Gradients:
    """Return the gradients of a cell, from its runs that are done."""
    known = dict.fromkeys(tag for record in cell.done for tag in record.series)
    parts = sorted(tags.clip_charts(known), key=lambda part: (not part.startswith("optim_"), part))
    shares = {
        part: {record.seed: float(record.series[tag].values.mean()) for record in cell.done if tag in record.series}
        for part in parts
        if (tag := tags.clip_fraction(part)) in known
    }
    return Gradients(
        cell=cell,
        norms={
            part: PartNorms(curves(cell, tags.before_clip(part)), curves(cell, tags.after_clip(part)))
            for part in parts
            if part != "all"
        },
        clip_share=shares,
        cosine=curves(cell, tags.TRUNK_COSINE),
    )
