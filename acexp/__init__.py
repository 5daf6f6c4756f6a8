"""acexp: experiments with actor-critic methods, from one config to a trained, comparable run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from acexp.system.renamed import answer_renamed_modules

if TYPE_CHECKING:
    from acexp.report.frame import read, read_metrics
    from acexp.runs.agent import Agent, load

__all__ = ["Agent", "load", "read", "read_metrics"]

_HOMES = {
    "Agent": "acexp.runs.agent",
    "load": "acexp.runs.agent",
    "read": "acexp.report.frame",
    "read_metrics": "acexp.report.frame",
}

answer_renamed_modules()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, because the import brings torch along, which takes seconds."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'acexp' has no attribute {name!r}")
