"""Conversion of Hydra's untyped configs to typed ones, with errors that name the key at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from acexp.config.groups import GROUPS
from acexp.config.names import is_plain
from acexp.config.places import placed
from acexp.config.schema import CheckpointConfig, EvaluationConfig, LogConfig, RunConfig, RunSettings
from acexp.config.typed import field_of, present_name, settings_in_group, typed
from acexp.core.errors import UserError
from acexp.engines import ENGINES, EngineConfig, EnvironmentConfig
from acexp.engines.base import AUTO
from acexp.metrics import WRITERS
from acexp.optimizers import ALGORITHMS, DualConfig
from acexp.system.user_code import import_users

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
    names = [settings_in_group(cls, rest) if parent else tuple(field.name for field in fields(cls)) for cls in classes]
    prefix = f"{part}.{parent}" if parent else part
    return tuple(f"{prefix}.{name}" for name in dict.fromkeys(name for group in names for name in group))


def choices_with(key: str) -> tuple[str, ...]:
    """Return the choices of a group that have a setting, as `group=name` each; none for a setting that all have."""
    part, _, rest = key.partition(".")
    registry = GROUPS.get(part)
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
