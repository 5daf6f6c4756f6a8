"""Checks that several configs make of their values."""

from __future__ import annotations

from collections.abc import Sequence

from acexp.core.errors import UserError


def require(ok: bool, problem: str, key: str, value: object) -> None:
    """Raise UserError unless it is so."""
    if not ok:
        raise UserError(problem, key=key, value=value)


def require_least(config: object, least: int, *keys: str, under: str = "") -> None:
    """Raise UserError if one of these settings is less; those that are None pass."""
    for key in keys:
        value = getattr(config, key)
        if value is not None and value < least:
            raise UserError("That is too few.", key=f"{under}{key}", value=value, remedy=f"say {least} or more")


def require_choice(config: object, choices: Sequence[str], key: str, under: str = "") -> None:
    """Raise UserError unless a setting is one of these."""
    value = getattr(config, key)
    if value not in choices:
        raise UserError(f"There is no such {key}.", key=f"{under}{key}", value=value, choices=tuple(choices))
