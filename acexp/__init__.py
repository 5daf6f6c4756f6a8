"""acexp: experiments with actor-critic methods, from one config to a trained, comparable run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acexp.agent import Agent, load

__all__ = ["Agent", "load"]


def __getattr__(name: str) -> Any:
    """Imported when they are asked for: they bring torch along, which takes a second or two."""
    if name in __all__:
        from acexp import agent

        return getattr(agent, name)
    raise AttributeError(f"module 'acexp' has no attribute {name!r}")
