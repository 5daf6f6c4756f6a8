"""The config groups, and the choices in each group with a one-line description."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from acexp.core.configs.wrappers import known_wrappers
from acexp.core.errors import UserError
from acexp.core.registry import Registry

CONFIG_NAME = "config"

PACKAGE = Path(__file__).resolve().parent.parent
"""The folder of acexp's code."""


@dataclass(frozen=True, slots=True)
class Group:
    """One config group.

    Attributes:
        name: The group's name on the command line and in conf/.
        selects: What a choice of this group decides, in Markdown; README.md shows it.
    """

    name: str
    selects: str


CONFIG_GROUPS = (
    Group(
        "env",
        "the environment, its `env.wrappers`, and settings that suit it; `gym` takes any Gymnasium id: `env.id=...`",
    ),
    Group("algo", "the algorithm: what an update minimizes, and how often it uses each rollout"),
    Group("arch", "the networks: one each for actor and critic, or a shared trunk with two heads"),
    Group("policy", "the distribution of actions: gaussian, squashed or beta for numbers, see `policy.std`"),
    Group("optim", "one optimizer for the sum of the losses, or one each for actor and critic"),
    Group("normalizer", "normalization of observations"),
    Group("reward_normalizer", "scaling of rewards for learning; logged returns are never scaled"),
    Group("clip", "gradient clipping; norms before and after it are always logged"),
    Group("engine", "the program that steps the environments"),
    Group("experiment", "a preset: an environment with tuned settings"),
)
"""Every group, declared once."""

GROUPS = tuple(group.name for group in CONFIG_GROUPS)
"""The names of all groups."""

ALGORITHMS = {
    "adam": "Adam (Kingma and Ba, 2015), as in torch.optim.Adam",
    "rmsprop": "RMSprop as in torch.optim.RMSprop: the average of squares starts at 0, eps is added outside the root",
    "rmsprop_tf": "RMSprop as in TensorFlow 1, used by published A2C: the average of squares starts at 1, eps is under "
    "the root",
    "sgd": "Gradient descent with optional momentum, as in torch.optim.SGD",
}
"""acexp's own optimization algorithms, as their docstrings describe them: to import these takes seconds."""

WRITERS = {
    "mlflow": "MLflow: the sweep as an experiment, the settings as parameters (acexp[mlflow])",
    "tensorboard": "An event file for TensorBoard, beside the run",
    "wandb": "Weights & Biases: the sweep as a project, the experiment as a group (acexp[wandb])",
}
"""acexp's own writers of metrics, as their docstrings describe them."""

NAMED_IN_SETTINGS: dict[str, Callable[[], dict[str, str]]] = {
    "env.wrappers": known_wrappers,
    "optim.algorithm": lambda: ALGORITHMS,
    "log.writers": lambda: WRITERS,
}
"""Settings beside the groups that take names, or lists of them, each with what returns acexp's own with summaries."""

_AS_VALUES = {"env.wrappers": "[{{name: {}}}]", "log.writers": "[{}]"}
"""How a name is written as the value of one of these settings, unless it is written alone."""


@functools.cache
def registries() -> dict[str, Registry[Any]]:
    """Return the registry of every setting that names a component, by the group or the key of the setting.

    The components are imported here, when the first of them is needed, because they bring torch along, which takes
    seconds: to list runs or choices needs none of them.
    """
    from acexp.architectures import ARCHITECTURES
    from acexp.core.distributions import POLICIES
    from acexp.engines import ENGINES
    from acexp.metrics import WRITERS
    from acexp.normalizers import NORMALIZERS, REWARD_NORMALIZERS
    from acexp.objectives import OBJECTIVES
    from acexp.optimizers import ALGORITHMS, OPTIMIZERS
    from acexp.optimizers.clipping import CLIPS

    return {
        "algo": OBJECTIVES,
        "arch": ARCHITECTURES,
        "policy": POLICIES,
        "optim": OPTIMIZERS,
        "normalizer": NORMALIZERS,
        "reward_normalizer": REWARD_NORMALIZERS,
        "clip": CLIPS,
        "engine": ENGINES,
        "optim.algorithm": ALGORITHMS,
        "log.writers": WRITERS,
    }


def config_directory() -> Path:
    """Return the folder of acexp's YAML: inside an installed package, or at the top of the repository."""
    for candidate in (PACKAGE / "conf", PACKAGE.parent / "conf"):
        if (candidate / f"{CONFIG_NAME}.yaml").is_file():
            return candidate
    raise FileNotFoundError(f"acexp's conf/ is neither in {PACKAGE} nor beside it")


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a config group, with a one-line summary."""

    name: str
    summary: str


def choices(group: str, config_directories: Sequence[Path], *, with_plugins: bool = False) -> list[Choice]:
    """Return the choices of a group, the default first: one per YAML file in the group's folder of a directory.

    Instead of a group, one of NAMED_IN_SETTINGS can be given; what plugins have registered for it is returned
    `with_plugins` only.
    """
    if group in NAMED_IN_SETTINGS:
        names = NAMED_IN_SETTINGS[group]()
        registry = registries().get(group) if with_plugins else None
        if registry is not None:
            names = {name: registry[name].summary for name in registry.names}
        return [Choice(_AS_VALUES.get(group, "{}").format(name), summary) for name, summary in names.items()]
    if group not in GROUPS:
        raise UserError(f"There is no config group {group!r}.", value=group, choices=(*GROUPS, *NAMED_IN_SETTINGS))
    found: dict[str, str] = {}
    for directory in config_directories:
        for path in sorted((directory / group).glob("*.yaml")):
            found.setdefault(path.stem, _summary(path, group))
    default = _defaults(config_directories[0]).get(group)
    return [Choice(name, found[name]) for name in sorted(found, key=lambda name: (name != default, name))]


@functools.cache
def _defaults(config_directory: Path) -> dict[Any, Any]:
    """Return the name that config.yaml chooses in each group, by the group."""
    entries = OmegaConf.to_container(OmegaConf.load(config_directory / "config.yaml").defaults)
    assert isinstance(entries, list)
    return {group: name for entry in entries if isinstance(entry, dict) for group, name in entry.items()}


def _summary(path: Path, group: str) -> str:
    """Return the first comment of a YAML file, or else the summary of the component that the file names."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            return line.lstrip("# ")
    content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    registered = content.get("name") if isinstance(content, dict) else None
    registry = registries().get(group)
    if registry is not None and isinstance(registered, str) and registered in registry.names:
        return registry[registered].summary
    return ""
