"""Typed configs to YAML, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from acexp.config.load import load
from acexp.config.schema import RunConfig
from acexp.core.errors import UserError


def to_yaml(config: RunConfig) -> str:
    """The run's config as YAML that `from_yaml` takes back."""
    return OmegaConf.to_yaml(OmegaConf.create(asdict(config)))


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
    plugins = OmegaConf.select(node, "plugins")
    if plugins and not allow_plugins:
        raise UserError(
            "This run's config imports modules, which run code.",
            key="plugins",
            value=str(list(plugins)),
            place=str(path),
            remedy="if you trust them, say --allow-plugins",
        )
    try:
        return load(node)
    except UserError as error:
        raise error.at(str(path)) from None
