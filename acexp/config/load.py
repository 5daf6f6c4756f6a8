"""Conversion of Hydra's untyped configs to typed ones, with errors that name the key at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from acexp.config.groups import GROUPS, registries
from acexp.config.keys import PLAIN
from acexp.config.names import is_plain
from acexp.config.places import placed
from acexp.config.schema import RunConfig, RunSettings
from acexp.config.typed import typed
from acexp.core.configs.engines import AUTO
from acexp.core.configs.optimizers import DualConfig
from acexp.core.errors import UserError
from acexp.system.user_code import import_users


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
    engines = (AUTO, *registries()["engine"].names)
    if config.engine.name not in engines:
        raise UserError(
            f"There is no engine called {config.engine.name!r}.",
            key="engine.name",
            value=config.engine.name,
            choices=engines,
        )
    sides = {"optim": config.optim}
    if isinstance(config.optim, DualConfig):
        sides = {"optim.actor": config.optim.actor, "optim.critic": config.optim.critic}  # type: ignore[dict-item]
    for key, side in sides.items():
        _named(registries()["optim.algorithm"], side.algorithm, f"{key}.algorithm")
    for writer in config.log.writers:
        _named(registries()["log.writers"], writer, "log.writers")
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


def import_plugins(plugins: object) -> None:
    """Import the user's modules, so that what they register can be chosen; raises UserError where one cannot be."""
    if not isinstance(plugins, list):
        return  # The type of `plugins` is checked with the other settings.
    for name in plugins:
        import_users(str(name), f"The plugin {name!r}", "plugins")


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
    name = values.get("name") if isinstance(values, Mapping) else values
    entry = _named(registries()[group], name, f"{group}.name" if isinstance(values, Mapping) else group)
    return typed(entry.config, values, group)


def _named(registry: Any, name: object, key: str) -> Any:
    try:
        return registry[name]
    except UserError as error:
        raise error.under(key) from None
