"""Declare a setting of a config class once: its default, and what the rest of acexp has to know about it.

A setting may carry these properties, as metadata of its dataclass field:

- `per_member`: members of one population may differ in it, so it does not decide which runs train together.
- `incidental`: it says where, how fast or how often a run is written, so two runs that differ in it alone are the same
  run.
- `since`: the version of the config format in which it was added. In a run directory of an earlier version it has its
  default, and at its default it does not change a run's identity.
- `formerly`: its name in earlier versions, under which it is still read from run directories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, field, fields, is_dataclass, replace
from typing import Any, TypeVar

C = TypeVar("C")

FIRST_VERSION = 1


def setting(
    default: Any = MISSING,
    *,
    factory: Callable[[], Any] | None = None,
    per_member: bool = False,
    incidental: bool = False,
    since: int = FIRST_VERSION,
    formerly: str | None = None,
) -> Any:
    """Declare a dataclass field with a default, or a default `factory`, and the properties named above."""
    metadata = {"per_member": per_member, "incidental": incidental, "since": since, "formerly": formerly}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(setting: Field[Any]) -> Any:
    """Return the default of a field, MISSING if it has none."""
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def names_with(cls: type[Any], property_: str) -> tuple[str, ...]:
    """Return the names of a config class's own settings that have a property."""
    return tuple(field.name for field in fields(cls) if field.metadata.get(property_))


def with_defaults(config: C, property_: str) -> C:
    """Return the config with every setting that has a property at its default, nested configs included."""
    changes: dict[str, Any] = {}
    for each in fields(config):  # type: ignore[arg-type]  # every config is a dataclass
        value = getattr(config, each.name)
        if each.metadata.get(property_):
            changes[each.name] = default_of(each)
        elif is_dataclass(value):
            changes[each.name] = with_defaults(value, property_)
    return replace(config, **changes)  # type: ignore[type-var]


def leaves_without(config: object, property_: str, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted key and the value of every setting that does not have a property, nested configs included."""
    for each in fields(config):  # type: ignore[arg-type]
        if each.metadata.get(property_):
            continue
        value, key = getattr(config, each.name), f"{prefix}{each.name}"
        if is_dataclass(value):
            yield from leaves_without(value, property_, f"{key}.")
        else:
            yield key, value
