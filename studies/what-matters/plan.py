"""The cells that are trained: the runs of each level of a choice in each environment, and their settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from choices import CHOICES, EVERY_UPDATE, PRESET_SEEDS, SEEDS, Choice
from environments import Environment

from acexp.config import RunConfig
from acexp.config.application import compose
from acexp.config.run_identity import identity

EPISODES = 20
"""The number of episodes in which the final policy of each run is evaluated: seeds differ far more than episodes do."""


@dataclass(frozen=True)
class Cell:
    """The runs of one environment with one level: they differ in their seeds.

    Attributes:
        environment, choice, level: what it belongs to.
        first: the identity of its run with the first seed, by which equal cells are recognized.
    """

    environment: Environment
    choice: Choice
    level: str
    first: str


def settings(environment: Environment, choice: Choice, level: str) -> list[str]:
    """Return the overrides of a cell's runs, without their seed."""
    preset = "_".join(filter(None, (environment.preset, choice.preset)))
    earlier = "" if choice.preset else environment.earlier
    given = " ".join((preset, environment.rest, earlier, level)).split()
    if choice.keeps_batch:
        n_envs = int(given[-1].partition("=")[2])
        given.insert(-1, f"algo.n_steps={environment.batch // n_envs}")
    if choice.rate != 1.0:
        given.insert(-1, f"optim.learning_rate={choice.rate * _learning_rate(preset, environment.rest):g}")
    return given


def config(environment: Environment, choice: Choice, level: str, seed: int) -> RunConfig:
    """Return the config of a run."""
    return compose([*settings(environment, choice, level), f"seed={seed}"])


def cell(environment: Environment, choice: Choice, level: str) -> Cell:
    """Return the cell of a level."""
    given = (*settings(environment, choice, level), f"seed={SEEDS[0]}")
    return Cell(environment, choice, level, _identity(given))


def cells(environment: Environment, choice: Choice) -> list[Cell]:
    """Return the cells of a choice in an environment, one for each level."""
    return [cell(environment, choice, level) for level in choice.levels]


def label(level: str) -> str:
    """Return what stands for a level in tables: its overrides, without how often a run logs; `preset` for none."""
    return level.replace(EVERY_UPDATE, "").strip() or "preset"


def label_of(choice: Choice, level: str) -> str:
    """Return what stands for a level beside those of other choices."""
    algorithm = f"{choice.preset.upper()}, " if choice.preset else ""
    rate = "" if choice.rate == 1.0 else f", {choice.title.lower()}"
    return f"{algorithm}`{label(level)}`{rate}"


def preset_of(environment: Environment, algorithm: str = "") -> Cell:
    """Return the cell of an environment's preset of an algorithm, `ppo`; empty for A2C."""
    return cell(environment, replace(CHOICES["preset"], preset=algorithm), "")


def seeds_of(chosen: Cell) -> tuple[int, ...]:
    """Return the seeds of the runs that decide: a cell that equals A2C's preset has all of the preset's."""
    return PRESET_SEEDS if chosen.first == preset_of(chosen.environment).first else SEEDS


@cache
def _learning_rate(preset: str, rest: str) -> float:
    return compose([preset, *rest.split()]).optim.learning_rate


@cache
def _identity(given: tuple[str, ...]) -> str:
    return identity(compose(list(given)))
