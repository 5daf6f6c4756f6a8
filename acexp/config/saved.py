"""A run's `config.yaml`: written from a typed config, and read again, also where an earlier version wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from acexp.config.keys import class_of
from acexp.config.load import load
from acexp.config.run_identity import identity
from acexp.config.schema import RunConfig
from acexp.core.configs.wrappers import modules_of
from acexp.core.errors import UserError
from acexp.core.settings import default_of

VERSION = 2
"""Version of the format: to be raised when a setting is added (`since`) or renamed (`formerly`, see core/settings.py).
A file without a version is of version 1."""

_VERSION_KEY = "version"
_ABSENT = "(not there)"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def to_yaml(config: RunConfig) -> str:
    """Return the run's config as YAML that `from_yaml` reads."""
    return OmegaConf.to_yaml(OmegaConf.create({_VERSION_KEY: VERSION, **asdict(config)}))


def from_yaml(path: Path, *, allow_plugins: bool) -> RunConfig:
    """Read the config that a run was written with; raises UserError where that is impossible.

    The modules that a config names run code when they are imported, so they are imported only with `allow_plugins`:
    the directory may come from somebody else.
    """
    try:
        tree = _read(path, _parse)
    except OSError as error:
        raise UserError(f"The run's config cannot be read: {error}.", value=str(path)) from None
    plugins, environment = tree.get("plugins") or [], tree.get("env")
    if not isinstance(plugins, list) or not isinstance(environment, Mapping):
        raise UserError("The run's config cannot be read: `plugins` or `env` is missing or malformed.", value=str(path))
    module, colon, _ = str(environment.get("id")).partition(":")
    named = (
        ("plugins", plugins),
        ("env.id", [module] if colon else []),
        ("env.wrappers", modules_of(environment.get("wrappers"))),
    )
    for key, modules in named:
        if modules and not allow_plugins:
            raise UserError(
                "This run's config imports modules, which run code.",
                key=key,
                value=str(modules),
                place=str(path),
                remedy="if you trust them, add --allow-plugins",
            )
    try:
        return load(OmegaConf.create(tree))
    except UserError as error:
        raise error.at(str(path)) from None


def read_settings(path: Path) -> dict[str, object]:
    """Read the settings of a run's config by dotted key, without importing anything that it names.

    Raises OSError if there is no such file, and UserError if it is not a config that this version can read.
    Settings that did not exist in the version that wrote the file have their defaults; an empty group is one setting.
    """
    return dict(_leaves(_read(path, _parse_quickly)))


def parse_settings(text: str) -> dict[str, Any]:
    """Return the settings of a config that `to_yaml` wrote, by dotted key."""
    return dict(_leaves(_upgraded(_parse(text))))


def settings(config: RunConfig) -> dict[str, bool | float | str]:
    """Return every setting by its dotted key, as one plain value; those that are null are left out."""
    leaves = dict(_leaves(asdict(config)))
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in leaves.items()
        if value is not None
    }


def group(config: RunConfig) -> str:
    """Return the name of an experiment, which is the same for runs that differ in their seeds only."""
    name = identity(replace(config, seed=0))[:8]
    return f"{config.env.id} {config.arch.name} {config.optim.name} {name}"


def differences(before: str, now: str) -> list[str]:
    """Return what differs between two configs, given as YAML, as lines `key: before -> now`."""
    old, new = parse_settings(before), parse_settings(now)
    keys = [key for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    return [f"{key}: {old.get(key, _ABSENT)} -> {new.get(key, _ABSENT)}" for key in keys]


def _parse(text: str) -> Any:
    """Parse YAML as Hydra does, which reads 1e-3 as a number where YAML 1.1 reads a text."""
    return OmegaConf.to_container(OmegaConf.create(text))


def _parse_quickly(text: str) -> Any:
    """Parse YAML that acexp wrote, ten times as fast: a report reads hundreds of configs."""
    return yaml.load(text, _Loader)


def _read(path: Path, parse: Callable[[str], object]) -> dict[str, Any]:
    try:
        tree = parse(path.read_text(encoding="utf-8"))
        if not isinstance(tree, dict):
            raise ValueError("it is not a mapping")
    except (ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"The run's config cannot be read: {error}.", value=str(path)) from None
    version = tree.get(_VERSION_KEY, VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise UserError(
            f"The run's config is of version {version}, and this acexp reads versions up to {VERSION}.",
            key=_VERSION_KEY,
            value=version,
            place=str(path),
            remedy="use the acexp that wrote it (status.json names its version), or a newer one",
        )
    return _upgraded(tree)


def _upgraded(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved config in today's terms: renamed settings by their new names, new ones with their defaults."""
    return _upgraded_part(RunConfig, {key: value for key, value in tree.items() if key != _VERSION_KEY})


def _upgraded_part(cls: type[Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(tree)
    for field in fields(cls):
        name, former = field.name, field.metadata.get("formerly")
        if former in result:
            result.setdefault(name, result.pop(former))
        default = default_of(field)
        part = (
            class_of(name, result.get(name)) if cls is RunConfig else type(default) if is_dataclass(default) else None
        )
        if part is not None and isinstance(result.get(name, {}), Mapping):
            result[name] = _upgraded_part(part, result.get(name, {}))
        elif default is not MISSING:
            result.setdefault(name, default)
    return result


def _leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(tree, Mapping) or not tree:
        yield prefix, tree
        return
    for key, value in tree.items():
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
