"""Checks of values that several config classes share."""

from __future__ import annotations

from collections.abc import Sequence

from acexp.core.errors import UserError


def require_least(config: object, least: int, *keys: str, under: str = "") -> None:
    """Raise UserError if one of the settings `keys` is less than `least`; settings that are None are not checked."""
    for key in keys:
        value = getattr(config, key)
        if value is not None and value < least:
            raise UserError("That is too small.", key=f"{under}{key}", value=value, remedy=f"set it to {least} or more")


def require_choice(config: object, choices: Sequence[str], key: str, under: str = "") -> None:
    """Raise UserError unless the setting `key` has one of the values `choices`."""
    value = getattr(config, key)
    if value not in choices:
        raise UserError(f"There is no such {key}.", key=f"{under}{key}", value=value, choices=tuple(choices))
