"""Which settings there are: their keys, their names in earlier versions, and their fields in config classes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from acexp.config.groups import GROUPS, registries
from acexp.config.schema import CheckpointConfig, EvaluationConfig, LogConfig, RunConfig, RunSettings
from acexp.core.configs.engines import EngineConfig, EnvironmentConfig
from acexp.core.errors import UserError

PARAMETERS = "hydra.sweeper.params"
"""The key of what a sweep varies, by key, as Hydra's own sweeper reads it from YAML."""

PLAIN: dict[str, type[Any]] = {
    "env": EnvironmentConfig,
    "engine": EngineConfig,
    "log": LogConfig,
    "checkpoint": CheckpointConfig,
    "eval": EvaluationConfig,
}
"""The config classes of the parts whose class does not depend on a chosen name."""


def class_of(part: str, values: object) -> type[Any] | None:
    """Return the config class of a part of the run's config, by the name that its values choose; None for a setting."""
    if part in PLAIN:
        return PLAIN[part]
    registry = registries().get(part)
    return None if registry is None else registry.config_of(values.get("name") if isinstance(values, Mapping) else None)


@functools.cache
def _common_class(part: str) -> type[Any]:
    """Return the class whose settings every choice of a part has, without importing what can be chosen."""
    cls = get_type_hints(RunConfig).get(part)
    return cls if is_dataclass(cls) else RunSettings  # type: ignore[return-value]


def settings_beside(key: str) -> tuple[str, ...]:
    """Return the full keys of all settings beside `key`, which does not need to exist."""
    part, _, rest = key.partition(".")
    registry = registries().get(part)
    classes = [PLAIN[part]] if part in PLAIN else []
    if not classes and registry is not None:
        classes = [registry[name].config for name in registry.names]
    if not rest or not classes:
        return tuple(dict.fromkeys((*(field.name for field in fields(RunConfig)), *GROUPS)))
    parent = rest.rpartition(".")[0]
    names = [settings_in_group(cls, rest) if parent else tuple(field.name for field in fields(cls)) for cls in classes]
    prefix = f"{part}.{parent}" if parent else part
    return tuple(f"{prefix}.{name}" for name in dict.fromkeys(name for group in names for name in group))


def choices_with(key: str) -> tuple[str, ...]:
    """Return the choices of a group that have a setting, as `group=name` each; none for a setting that all have."""
    part, _, rest = key.partition(".")
    registry = registries().get(part)
    names = registry.names if registry is not None else ()
    found = [name for name in names if registry is not None and field_of(registry[name].config, rest) is not None]
    return () if len(found) == len(names) else tuple(f"{part}={name}" for name in found)


def present_override(override: str) -> str:
    """Return an override that an earlier version was given, with the name that its setting has today."""
    key, equals, value = override.partition("=")
    bare = key.lstrip("+~")
    return f"{key.removesuffix(bare)}{present_name(bare) or bare}{equals}{value}"


def former_override(override: str) -> str:
    """Return an override with the name that its part of the config had in version 1."""
    key, equals, value = override.partition("=")
    part, dot, rest = key.partition(".")
    former = {field.name: field.metadata["formerly"] for field in fields(RunConfig) if field.metadata.get("formerly")}
    return f"{former.get(part, part)}{dot}{rest}{equals}{value}"


def takes_any_key(key: str) -> bool:
    """Return True if a key lies in a setting whose keys are free, such as `env.kwargs.is_slippery` in `env.kwargs`."""
    parent = key.rpartition(".")[0]
    if parent == PARAMETERS:
        return True
    part, _, rest = parent.partition(".")
    field = field_of(PLAIN[part], rest) if part in PLAIN and rest else None
    return field is not None and str(field.type).startswith("dict")


def present_name(key: str) -> str | None:
    """Return the key that a setting or a group has today, if earlier versions called it `key`; else None."""
    part, dot, rest = key.partition(".")
    for field in fields(RunConfig):
        if field.metadata.get("formerly") == part:
            return f"{field.name}{dot}{rest}"
    for field in fields(_common_class(part)):
        if rest and field.metadata.get("formerly") == rest:
            return f"{part}.{field.name}"
    return None


def no_such_setting(key: str, choices: tuple[str, ...], remedy: str | None = None) -> UserError:
    """Return the error for a key that does not exist, which names the key that it has become, if it has."""
    now = present_name(key)
    if now is not None:
        return UserError(f"The setting {key!r} is called {now!r} now.", key=key, remedy=f"write {now}=...")
    return UserError(f"There is no setting {key!r}.", key=key, choices=choices, remedy=remedy)


def field_of(cls: type[Any], key: str) -> Any:
    """Return the dataclass field of a setting, whose dotted key may go through groups; None if there is none."""
    first, _, rest = key.replace("[", ".").partition(".")
    for field in fields(cls):
        if field.name == first:
            group = group_of(field)
            return field_of(group, rest) if rest and group is not None else field
    return None


def group_of(field: Any) -> type[Any] | None:
    """Return the class of a field that is a group of settings; None for a single setting."""
    return field.default_factory if hasattr(field.default_factory, "__dataclass_fields__") else None


def settings_in_group(cls: type[Any], key: str) -> tuple[str, ...]:
    """Return the names of all settings beside a nested key, and nothing for a key that is not nested."""
    parent, _, _ = key.rpartition(".")
    field = field_of(cls, parent) if parent else None
    group = None if field is None else group_of(field)
    return () if group is None else tuple(f.name for f in fields(group))
