"""acexp: experiments with actor-critic methods, from one config to a trained, comparable run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acexp.agent import Agent, load
    from acexp.report.frame import read, read_metrics

__all__ = ["Agent", "load", "read", "read_metrics"]

_HOMES = {
    "Agent": "acexp.agent",
    "load": "acexp.agent",
    "read": "acexp.report.frame",
    "read_metrics": "acexp.report.frame",
}


def __getattr__(name: str) -> Any:
    """Imported when they are asked for: they bring torch along, which takes a second or two."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'acexp' has no attribute {name!r}")
