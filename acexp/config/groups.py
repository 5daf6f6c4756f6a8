"""The config groups: what can be chosen, and what each choice is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from acexp.architectures import ARCHITECTURES
from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.engines import ENGINES
from acexp.normalizers import NORMALIZERS, REWARD_NORMALIZERS
from acexp.optimizers import OPTIMIZERS
from acexp.optimizers.clipping import CLIPS

GROUPS: dict[str, Registry[Any] | None] = {
    "env": None,
    "arch": ARCHITECTURES,
    "optim": OPTIMIZERS,
    "normalizer": NORMALIZERS,
    "reward_normalizer": REWARD_NORMALIZERS,
    "clip": CLIPS,
    "engine": ENGINES,
    "experiment": None,
}
"""Every group, with the registry that its names lead to, where they lead to one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a group, and one line about it."""

    name: str
    summary: str


def choices(group: str, config_directories: Sequence[Path]) -> list[Choice]:
    """What can be chosen in a group: one YAML file each, in the group's folder of any of these directories."""
    if group not in GROUPS:
        raise UserError(f"There is no config group {group!r}.", value=group, choices=tuple(GROUPS))
    registry = GROUPS[group]
    found: dict[str, str] = {}
    for directory in config_directories:
        for path in sorted((directory / group).glob("*.yaml")):
            found.setdefault(path.stem, _summary(path, registry))
    default = _default(group, config_directories[0])
    return [Choice(name, found[name]) for name in sorted(found, key=lambda name: (name != default, name))]


def _default(group: str, config_directory: Path) -> object:
    """The choice that config.yaml makes."""
    for entry in OmegaConf.load(config_directory / "config.yaml").defaults:
        if isinstance(entry, DictConfig) and group in entry:
            return entry[group]
    return None


def _summary(path: Path, registry: Registry[Any] | None) -> str:
    """The file's first comment, or what the component says of itself."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            return line.lstrip("# ")
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    registered = content.get("name") if isinstance(content, dict) else None
    if registry is not None and isinstance(registered, str) and registered in registry.names:
        return registry[registered].summary
    return ""
