"""What makes a run this run and no other, also after later versions have added or renamed settings."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass

from acexp.config.schema import RunConfig
from acexp.core.settings import FIRST_VERSION, default_of, with_defaults

FORMER_CLASSES: dict[str, str] = {}
"""Config classes that were renamed, by their new names: the text that is hashed keeps the old one."""


def essence(config: RunConfig) -> RunConfig:
    """Return the config with every incidental setting at its default: two runs of equal essence learn the same."""
    return with_defaults(config, "incidental")


def identity(config: RunConfig) -> str:
    """Return 16 hexadecimal digits that identify a run: the hash of its essence.

    It is taken before any `auto` is resolved, so that the same command is the same run on another machine. A setting
    that was added in a later version takes part only where it differs from its default, and a renamed one takes part
    under its first name, so that runs of earlier versions keep their identity.
    """
    return hashlib.sha256(_text(essence(config)).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    """Write a config as `repr` does, but for settings and classes that earlier versions did not have or call so."""
    if not is_dataclass(value):
        return repr(value)
    parts = []
    for field in fields(value):
        setting = getattr(value, field.name)
        if field.metadata.get("since", FIRST_VERSION) > FIRST_VERSION and setting == default_of(field):
            continue
        parts.append(f"{field.metadata.get('formerly') or field.name}={_text(setting)}")
    name = type(value).__qualname__
    return f"{FORMER_CLASSES.get(name, name)}({', '.join(parts)})"
