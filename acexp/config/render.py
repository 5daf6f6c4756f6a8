"""Typed configs to YAML, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from acexp.config.load import load
from acexp.config.schema import RunConfig, identity
from acexp.core.errors import UserError

_ABSENT = "(not there)"


def to_yaml(config: RunConfig) -> str:
    """The run's config as YAML that `from_yaml` takes back."""
    return OmegaConf.to_yaml(OmegaConf.create(asdict(config)))


def settings(config: RunConfig) -> dict[str, bool | float | str]:
    """Every setting by its dotted key, as one plain value; those that are null are left out."""
    leaves = dict(_leaves(asdict(config)))
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in leaves.items()
        if value is not None
    }


def group(config: RunConfig) -> str:
    """The name of an experiment, which its runs with other seeds share."""
    name = identity(replace(config, seed=0))[:8]
    return f"{config.env.id} {config.arch.name} {config.optim.name} {name}"


def differences(before: str, now: str) -> list[str]:
    """What differs between two configs, given as YAML, as lines `key: before -> now`."""
    old, new = (dict(_leaves(OmegaConf.to_container(OmegaConf.create(text)))) for text in (before, now))
    keys = [key for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    return [f"{key}: {old.get(key, _ABSENT)} -> {new.get(key, _ABSENT)}" for key in keys]


def _leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(tree, Mapping):
        yield prefix, tree
        return
    for key, value in tree.items():
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))


def from_yaml(path: Path, *, allow_plugins: bool) -> RunConfig:
    """The config that a run was written with; raises UserError where it cannot be had.

    The modules that it names run code when they are imported, which a directory from somebody else must not do unasked.
    """
    try:
        node = OmegaConf.create(path.read_text(encoding="utf-8"))
        if not isinstance(node, DictConfig):
            raise ValueError("it is not a mapping")
    except (OSError, ValueError, YAMLError) as error:
        raise UserError(f"The run's config cannot be read: {error}.", value=str(path)) from None
    try:
        module, colon, _ = str(OmegaConf.select(node, "env.id")).partition(":")
        imported = {"plugins": list(OmegaConf.select(node, "plugins") or ()), "env.id": [module] if colon else []}
    except (TypeError, OmegaConfBaseException) as error:
        raise UserError(f"The run's config cannot be read: {error}.", value=str(path)) from None
    for key, modules in imported.items():
        if modules and not allow_plugins:
            raise UserError(
                "This run's config imports modules, which run code.",
                key=key,
                value=str(modules),
                place=str(path),
                remedy="if you trust them, say --allow-plugins",
            )
    try:
        return load(node)
    except UserError as error:
        raise error.at(str(path)) from None
