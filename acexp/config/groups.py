"""The config groups, and the choices in each group with a one-line description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from acexp.architectures import ARCHITECTURES
from acexp.core.distributions import POLICIES
from acexp.core.errors import UserError
from acexp.core.registry import Registry
from acexp.engines import ENGINES
from acexp.engines.wrappers import known_wrappers
from acexp.metrics import WRITERS
from acexp.normalizers import NORMALIZERS, REWARD_NORMALIZERS
from acexp.objectives import OBJECTIVES
from acexp.optimizers import ALGORITHMS, OPTIMIZERS
from acexp.optimizers.clipping import CLIPS


@dataclass(frozen=True, slots=True)
class Group:
    """One config group.

    Attributes:
        name: The group's name on the command line and in conf/.
        selects: What a choice of this group decides, in Markdown; README.md shows it.
        registry: The registry of the components that can be chosen; None for a group of plain settings.
    """

    name: str
    selects: str
    registry: Registry[Any] | None = None


CONFIG_GROUPS = (
    Group(
        "env",
        "the environment, its `env.wrappers`, and settings that suit it; `gym` takes any Gymnasium id: `env.id=...`",
    ),
    Group("algo", "the algorithm: what an update minimizes, and how often it uses each rollout", OBJECTIVES),
    Group("arch", "the networks: one each for actor and critic, or a shared trunk with two heads", ARCHITECTURES),
    Group("policy", "the distribution of actions: gaussian, squashed or beta for numbers, see `policy.std`", POLICIES),
    Group("optim", "one optimizer for the sum of the losses, or one each for actor and critic", OPTIMIZERS),
    Group("normalizer", "normalization of observations", NORMALIZERS),
    Group("reward_normalizer", "scaling of rewards for learning; logged returns are never scaled", REWARD_NORMALIZERS),
    Group("clip", "gradient clipping; norms before and after it are always logged", CLIPS),
    Group("engine", "the program that steps the environments", ENGINES),
    Group("experiment", "a preset: an environment with tuned settings"),
)
"""Every group, declared once."""

GROUPS: dict[str, Registry[Any] | None] = {group.name: group.registry for group in CONFIG_GROUPS}
"""The registry of every group, by the group's name."""


def _wrappers() -> dict[str, str]:
    return {f"[{{name: {name}}}]": summary for name, summary in known_wrappers().items()}


def _writers() -> dict[str, str]:
    return {f"[{name}]": WRITERS[name].summary for name in WRITERS.names}


def _algorithms() -> dict[str, str]:
    return {name: ALGORITHMS[name].summary for name in ALGORITHMS.names}


NAMED_IN_SETTINGS: dict[str, Callable[[], dict[str, str]]] = {
    "env.wrappers": _wrappers,
    "optim.algorithm": _algorithms,
    "log.writers": _writers,
}
"""Settings beside the groups that take names, or lists of them, each with what returns these and their summaries."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a config group, with a one-line summary."""

    name: str
    summary: str


def choices(group: str, config_directories: Sequence[Path]) -> list[Choice]:
    """Return the choices of a group, the default first: one per YAML file in the group's folder of a directory.

    Instead of a group, one of NAMED_IN_SETTINGS can be given.
    """
    if group in NAMED_IN_SETTINGS:
        return [Choice(name, summary) for name, summary in NAMED_IN_SETTINGS[group]().items()]
    if group not in GROUPS:
        raise UserError(f"There is no config group {group!r}.", value=group, choices=(*GROUPS, *NAMED_IN_SETTINGS))
    registry = GROUPS[group]
    found: dict[str, str] = {}
    for directory in config_directories:
        for path in sorted((directory / group).glob("*.yaml")):
            found.setdefault(path.stem, _summary(path, registry))
    default = _default(group, config_directories[0])
    return [Choice(name, found[name]) for name in sorted(found, key=lambda name: (name != default, name))]


def _default(group: str, config_directory: Path) -> object:
    """Return the name that config.yaml chooses in a group, None if it chooses none."""
    for entry in OmegaConf.load(config_directory / "config.yaml").defaults:
        if isinstance(entry, DictConfig) and group in entry:
            return entry[group]
    return None


def _summary(path: Path, registry: Registry[Any] | None) -> str:
    """Return the first comment of a YAML file, or else the summary of the component that the file names."""
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
