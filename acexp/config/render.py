"""Typed configs back to YAML."""

from __future__ import annotations

from dataclasses import asdict

from omegaconf import OmegaConf

from acexp.config.schema import RunConfig


def to_yaml(config: RunConfig) -> str:
    """The run's config as YAML that `load` takes back."""
    return OmegaConf.to_yaml(OmegaConf.create(asdict(config)))
