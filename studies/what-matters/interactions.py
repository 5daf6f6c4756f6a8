"""Whether choices depend on each other: what one changes at a level of another, minus what it changes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from choices import BOUND, CHOICES, SEEDS, UNCLIPPED
from effects import ALL, in_percent, mean_of, preset, runs_of, share
from environments import ENVIRONMENTS, Environment
from plan import Cell, cell

from acexp.report.inference import Mean
from acexp.report.scores import Estimate
from acexp.report.table import Value, to_markdown

Level = tuple[str, str]
"""A choice's name, and a level of it."""

PPO: Level = ("ppo-preset", "")


@dataclass(frozen=True)
class Interaction:
    """Two choices with two levels each: `(here - here_without) - (there - there_without)`.

    Attributes:
        question: what is asked.
        here, here_without: the level with and without one choice, at a level of the other.
        there, there_without: the same at another level of the other.
    """

    question: str
    here: Level
    here_without: Level
    there: Level
    there_without: Level

    def terms(self, environment: Environment) -> list[tuple[Cell, float]]:
        """Return the cells with their signs; none if the environment lacks a choice, or a cell has not been run."""
        levels = (self.here, 1.0), (self.here_without, -1.0), (self.there, -1.0), (self.there_without, 1.0)
        if not all(CHOICES[choice].concerns(environment) for (choice, _), _ in levels):
            return []
        found = [(cell(environment, CHOICES[choice], level), sign) for (choice, level), sign in levels]
        runs = [runs_of(each) for each, _ in found]
        return found if all(each is not None and len(each) >= len(SEEDS) for each in runs) else []


def _clipping(optim: str, clip: str) -> Level:
    return "clipping-and-optimizers", f"optim={optim} {clip}"


def _algorithm(what: str, without: str, choice: str, level: str) -> Interaction:
    """Return whether a level that PPO's presets have, in place of another one, does more in PPO than in A2C."""
    question = f"Does {what} help PPO more than A2C?"
    return Interaction(question, PPO, ("ppo-choices", without), (choice, level), (choice, without))


def _width(arch: str, width: int) -> Level:
    return "width", f"arch={arch} arch.hidden_sizes=[{width},{width}]"


INTERACTIONS = (
    Interaction(
        "Does a bound of the norm help more with one optimizer than with two?",
        _clipping("single", BOUND),
        _clipping("single", UNCLIPPED),
        _clipping("dual", BOUND),
        _clipping("dual", UNCLIPPED),
    ),
    Interaction(
        "Does normalizing observations help more with ReLU than with tanh?",
        ("activation", "arch.activation=relu"),
        ("normalizer-and-activation", "normalizer=none arch.activation=relu"),
        ("observations", "normalizer=running"),
        ("observations", "normalizer=none"),
    ),
    Interaction(
        "Do wide layers help more on a shared trunk than in separate networks?",
        _width("shared", 256),
        _width("shared", 64),
        _width("separate", 256),
        _width("separate", 64),
    ),
    Interaction(
        "Does ReLU do better, compared with tanh, at a quarter of the learning rate?",
        ("rate", "arch.activation=relu"),
        ("rate", ""),
        ("activation", "arch.activation=relu"),
        ("activation", "arch.activation=tanh"),
    ),
    Interaction(
        "Do wide layers do better, compared with narrow ones, at a quarter of the learning rate?",
        ("rate", "arch=shared arch.hidden_sizes=[256,256]"),
        ("rate", ""),
        _width("shared", 256),
        _width("shared", 64),
    ),
    Interaction(
        "Does a lambda of 0.95 in place of 1 help PPO more than A2C?",
        ("ppo", "algo.gae_lambda=0.95"),
        ("ppo", "algo.gae_lambda=1.0"),
        ("lambda", "algo.gae_lambda=0.95"),
        ("lambda", "algo.gae_lambda=1.0"),
    ),
    _algorithm("scaling rewards", "reward_normalizer=none", "rewards", "reward_normalizer=return_std"),
    _algorithm("normalizing observations", "normalizer=none", "observations", "normalizer=running"),
    _algorithm(
        "normalizing advantages", "algo.normalize_advantage=false", "advantages", "algo.normalize_advantage=true"
    ),
    Interaction(
        "Does clipping gradients help PPO more than A2C?",
        PPO,
        ("ppo-choices", "clip=none"),
        ("clipping", BOUND),
        ("clipping", UNCLIPPED),
    ),
    Interaction(
        "Do separate networks help PPO more than A2C?",
        PPO,
        ("ppo-choices", "arch=shared"),
        ("networks", "arch=separate optim=single"),
        ("networks", "arch=shared optim=single"),
    ),
    _algorithm("tanh in place of ReLU", "arch.activation=relu", "activation", "arch.activation=tanh"),
    _algorithm("annealing the learning rate", "optim.anneal=none", "annealing", "optim.anneal=linear"),
)


def table() -> str:
    """Return a table of the interactions in each environment that counts, and in their mean."""
    counted = [each for each in ENVIRONMENTS.values() if each.counts and preset(each) is not None]
    rows: list[list[Value]] = []
    for interaction in INTERACTIONS:
        found: dict[str, Mean] = {
            environment.title: share(environment, terms)
            for environment in counted
            if (terms := interaction.terms(environment))
        }
        if len(found) > 1:
            found[ALL] = mean_of(list(found.values()))
        shown = (found.get(place) for place in (*(each.title for each in counted), ALL))
        rows.append([interaction.question, *(in_percent(Estimate.of_mean(each)) if each else None for each in shown)])
    return to_markdown(("", *(each.title for each in counted), ALL), rows)
