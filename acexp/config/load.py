"""Conversion of Hydra's untyped configs to typed ones, with errors that name the key at fault."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from acexp.config.groups import GROUPS
from acexp.config.names import is_plain
from acexp.config.places import placed
from acexp.config.schema import CheckpointConfig, EvaluationConfig, LogConfig, RunConfig, RunSettings
from acexp.core.errors import UserError
from acexp.engines import ENGINES, EngineConfig, EnvironmentConfig
from acexp.engines.base import AUTO
from acexp.metrics import WRITERS
from acexp.optimizers import ALGORITHMS, DualConfig
from acexp.system.user_code import import_users

C = TypeVar("C")

PLAIN: dict[str, type[Any]] = {
    "env": EnvironmentConfig,
    "engine": EngineConfig,
    "log": LogConfig,
    "checkpoint": CheckpointConfig,
    "eval": EvaluationConfig,
}
"""The config classes of the parts whose class does not depend on a chosen name."""

PARAMETERS = "hydra.sweeper.params"
"""The key of what a sweep varies, by key, as Hydra's own sweeper reads it from YAML."""


def load(node: DictConfig) -> RunConfig:
    """Import the plugins, then check every key, type and name; raises UserError that names the key at fault."""
    tree: dict[str, Any] = _container(node)
    tree.pop("hydra", None)
    import_plugins(tree.get("plugins"))
    parts = {field.name for field in fields(RunConfig)} - {field.name for field in fields(RunSettings)}
    settings = typed(RunSettings, {key: value for key, value in tree.items() if key not in parts}, "", known=parts)

    config = RunConfig(
        **{field.name: getattr(settings, field.name) for field in fields(RunSettings)},
        **{key: typed(cls, tree.get(key, {}), key) for key, cls in PLAIN.items()},
        **{group: _component(group, tree.get(group)) for group in GROUPS if group in parts - set(PLAIN)},
    )
    if config.engine.name not in (AUTO, *ENGINES.names):
        raise UserError(
            f"There is no engine called {config.engine.name!r}.",
            key="engine.name",
            value=config.engine.name,
            choices=(AUTO, *ENGINES.names),
        )
    sides = {"optim": config.optim}
    if isinstance(config.optim, DualConfig):
        sides = {"optim.actor": config.optim.actor, "optim.critic": config.optim.critic}  # type: ignore[dict-item]
    for key, side in sides.items():
        _named(ALGORITHMS, side.algorithm, f"{key}.algorithm")
    for writer in config.log.writers:
        _named(WRITERS, writer, "log.writers")
    return config


def load_checked(node: DictConfig, overrides: Sequence[str]) -> RunConfig:
    """Load a config as `load` does; errors name the place that set the value. Hydra must be initialized."""
    with placed(overrides):
        config = load(node)
        if config.name is not None and not is_plain(config.name):
            raise UserError(
                "A directory cannot have this name.",
                key="name",
                value=repr(config.name),
                remedy="choose a name without slashes; hydra.run.dir=... and hydra.sweep.dir=... take any path",
            )
        return config


def class_of(part: str, values: object) -> type[Any] | None:
    """Return the config class of a part of the run's config, by the name that its values choose; None for a setting."""
    if part in PLAIN:
        return PLAIN[part]
    registry = GROUPS.get(part)
    return None if registry is None else registry.config_of(values.get("name") if isinstance(values, Mapping) else None)


def settings_beside(key: str) -> tuple[str, ...]:
    """Return the full keys of all settings beside `key`, which does not need to exist."""
    part, _, rest = key.partition(".")
    registry = GROUPS.get(part)
    classes = [PLAIN[part]] if part in PLAIN else []
    if not classes and registry is not None:
        classes = [registry[name].config for name in registry.names]
    if not rest or not classes:
        return tuple(dict.fromkeys((*(field.name for field in fields(RunConfig)), *GROUPS)))
    parent = rest.rpartition(".")[0]
    names = [_siblings(cls, rest) if parent else tuple(field.name for field in fields(cls)) for cls in classes]
    prefix = f"{part}.{parent}" if parent else part
    return tuple(f"{prefix}.{name}" for name in dict.fromkeys(name for group in names for name in group))


def choices_with(key: str) -> tuple[str, ...]:
    """Return the choices of a group that have a setting, as `group=name` each; none for a setting that all have."""
    part, _, rest = key.partition(".")
    registry = GROUPS.get(part)
    names = registry.names if registry is not None else ()
    found = [name for name in names if registry is not None and _field_of(registry[name].config, rest) is not None]
    return () if len(found) == len(names) else tuple(f"{part}={name}" for name in found)


def present_name(key: str) -> str | None:
    """Return the key that a setting or a group has today, if earlier versions called it `key`; else None."""
    part, dot, rest = key.partition(".")
    for field in fields(RunConfig):
        if field.metadata.get("formerly") == part:
            return f"{field.name}{dot}{rest}"
    for field in fields(class_of(part, None) or RunSettings):
        if rest and field.metadata.get("formerly") == rest:
            return f"{part}.{field.name}"
    return None


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


def no_such_setting(key: str, choices: tuple[str, ...], remedy: str | None = None) -> UserError:
    """Return the error for a key that does not exist, which names the key that it has become, if it has."""
    now = present_name(key)
    if now is not None:
        return UserError(f"The setting {key!r} is called {now!r} now.", key=key, remedy=f"write {now}=...")
    return UserError(f"There is no setting {key!r}.", key=key, choices=choices, remedy=remedy)


def takes_any_key(key: str) -> bool:
    """Return True if a key lies in a setting whose keys are free, such as `env.kwargs.is_slippery` in `env.kwargs`."""
    parent = key.rpartition(".")[0]
    if parent == PARAMETERS:
        return True
    part, _, rest = parent.partition(".")
    field = _field_of(PLAIN[part], rest) if part in PLAIN and rest else None
    return field is not None and str(field.type).startswith("dict")


def import_plugins(plugins: object) -> None:
    """Import the user's modules, so that what they register can be chosen; raises UserError where one cannot be."""
    if not isinstance(plugins, list):
        return  # The type of `plugins` is checked with the other settings.
    for name in plugins:
        try:
            import_users(str(name), f"The plugin {name!r}", "plugins")
        except ModuleNotFoundError:
            raise UserError(
                f"The plugin {name!r} cannot be found.",
                key="plugins",
                value=str(name),
                remedy="name a module that can be imported from the current folder, without .py",
            ) from None


def settings_of(node: DictConfig) -> dict[str, Any]:
    """Return the settings of a part of Hydra's own config as plain values, without keys such as `_target_`."""
    return {
        str(key): OmegaConf.to_container(node[key], resolve=True) if OmegaConf.is_config(node[key]) else node[key]
        for key in node
        if not str(key).startswith("_")
    }


def _container(node: DictConfig) -> dict[str, Any]:
    bare = OmegaConf.create({key: node._get_node(key) for key in node if key != "hydra"}) if "hydra" in node else node
    try:
        container = OmegaConf.to_container(bare, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = str(error.full_key)
        raise UserError(f"{key} has no value.", key=key, remedy=f"set it: {key}=...") from None
    except OmegaConfBaseException as error:
        raise UserError(str(error).split("\n")[0], key=str(error.full_key or "")) from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _component(group: str, values: object) -> Any:
    registry = GROUPS[group]
    assert registry is not None
    name = values.get("name") if isinstance(values, Mapping) else values
    entry = _named(registry, name, f"{group}.name" if isinstance(values, Mapping) else group)
    return typed(entry.config, values, group)


def _named(registry: Any, name: object, key: str) -> Any:
    try:
        return registry[name]
    except UserError as error:
        raise error.under(key) from None


def typed(cls: type[C], values: object, prefix: str, known: Iterable[str] = ()) -> C:
    """Return an instance of a config class from plain values; unknown keys and wrong types raise UserError."""
    result = _typed_tree(cls, _Tree(values), prefix, frozenset(known))  # type: ignore[arg-type]
    assert isinstance(result, cls)
    return result


class _Tree:
    """Plain values as a cache key: the runs of a sweep share most parts of their configs, and each is typed once."""

    def __init__(self, values: object) -> None:
        self.values = values
        self._text = repr(values)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tree) and self._text == other._text


@functools.lru_cache(maxsize=1024)
def _typed_tree(cls: type[Any], tree: _Tree, prefix: str, known: frozenset[str]) -> Any:
    values = tree.values
    names = tuple(field.name for field in fields(cls))
    if not isinstance(values, Mapping):
        raise UserError(f"{prefix} is a group of settings, not one value.", key=prefix, value=values, choices=names)
    whole = {
        key: int(v) if isinstance(v, float) and v.is_integer() and _is_int(cls, key) else v for key, v in values.items()
    }
    if nested := _nested_where_plain(cls, whole):
        raise _mistyped(cls, values, nested, prefix)
    try:
        result = OmegaConf.to_object(OmegaConf.merge(_schema(cls), whole))  # type: ignore[arg-type]
    except UserError as error:
        raise (error.under(prefix) if prefix else error) from None
    except ConfigKeyError as error:
        key = str(error.full_key)
        choices = _siblings(cls, key) or names + tuple(sorted(known))
        raise no_such_setting(_join(prefix, key), choices) from None
    except MissingMandatoryValue as error:
        key = _join(prefix, str(error.full_key))
        raise UserError(f"{key} has no value.", key=key, remedy=f"set it: {key}=...") from None
    except OmegaConfBaseException as error:
        raise _mistyped(cls, values, str(error.full_key or "") or _first_mistyped(cls, whole), prefix) from None
    return result


def _mistyped(cls: type[Any], values: Mapping[str, Any], key: str, prefix: str) -> UserError:
    full = _join(prefix, key)
    return UserError(f"{full} is {_expected(cls, key)}.", key=full, value=_dig(values, key))


def _first_mistyped(cls: type[Any], values: Mapping[str, Any]) -> str:
    """Return the first setting whose value cannot be taken, for an error that does not say which; empty if none."""
    for key, value in values.items():
        try:
            OmegaConf.merge(_schema(cls), {key: value})  # type: ignore[arg-type]
        except OmegaConfBaseException:
            return key
    return ""


def _nested_where_plain(cls: type[Any], values: Mapping[str, Any]) -> str:
    """Return the first list of plain values that contains a list or a group, which OmegaConf may take for a text."""
    for field in fields(cls):
        value, group = values.get(field.name), _group_of(field)
        if isinstance(value, Mapping) and group is not None and (inner := _nested_where_plain(group, value)):
            return f"{field.name}.{inner}"
        if not isinstance(value, list) or not _PLAIN_LIST.match(str(field.type)):
            continue
        if any(isinstance(each, list | Mapping) for each in value):
            return field.name
    return ""


def _group_of(field: Any) -> type[Any] | None:
    """Return the class of a field that is a group of settings; None for a single setting."""
    return field.default_factory if hasattr(field.default_factory, "__dataclass_fields__") else None


@functools.cache
def _schema(cls: type[Any]) -> DictConfig:
    """Return a writable OmegaConf schema of the class: lists in read-only nodes of frozen classes cannot be merged."""
    schema = OmegaConf.structured(cls)
    pending = [schema]
    while pending:
        node = pending.pop()
        OmegaConf.set_readonly(node, None)
        children = [node._get_node(key) for key in node] if not node._is_missing() else []
        pending += [child for child in children if isinstance(child, DictConfig)]
    assert isinstance(schema, DictConfig)
    return schema


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix and key else prefix or key


def _field_of(cls: type[Any], key: str) -> Any:
    first, _, rest = key.replace("[", ".").partition(".")
    for field in fields(cls):
        if field.name == first:
            group = _group_of(field)
            return _field_of(group, rest) if rest and group is not None else field
    return None


def _is_int(cls: type[Any], key: str) -> bool:
    field = _field_of(cls, key)
    return field is not None and field.type in ("int", "int | None")


_TYPES_IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "list[int]": "a list of whole numbers, such as [64,64]",
    "list[float]": "a list of numbers, such as [0.9,0.999]",
    "list[str]": "a list of texts, such as [a,b]",
    "list[dict[str, Any]]": "a list of groups of settings, such as [{name: FrameStackObservation, stack_size: 4}]",
    "dict[str, Any]": "a group of settings, such as {key: value}",
}


_PLAIN_LIST = re.compile(r"list\[(int|float|str)\]")


def _expected(cls: type[Any], key: str) -> str:
    field = _field_of(cls, key)
    if field is not None and _group_of(field) is not None:
        return "a group of settings, not one value"
    declared = "" if field is None else str(field.type)
    kind = declared.removesuffix(" | None")
    words = _TYPES_IN_WORDS.get(kind, f"of type {kind}" if kind else "something else")
    return f"{words}, or null" if kind != declared else words


def _siblings(cls: type[Any], key: str) -> tuple[str, ...]:
    """Return the names of all settings beside a nested key, and nothing for a key that is not nested."""
    parent, _, _ = key.rpartition(".")
    field = _field_of(cls, parent) if parent else None
    group = None if field is None else _group_of(field)
    return () if group is None else tuple(f.name for f in fields(group))


def _dig(values: Any, key: str) -> str | None:
    for part in key.replace("[", ".").replace("]", "").split("."):
        try:
            values = values[int(part)] if isinstance(values, list) else values[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return repr(values)
