"""The results of the presets over several seeds, with which the summary of a single run is compared.

`reached.json` has one entry for each layout of each preset; studies/page.py writes it from the data of the studies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from acexp.config import RunConfig, identity
from acexp.core.numbers import number


@dataclass(frozen=True, slots=True)
class Reached:
    """The final evaluations of runs that differ in their seeds only.

    Attributes:
        settings: the overrides that select these settings.
        environment: the id of the environment.
        total_steps: the env steps of each run.
        seed, identity: the seed of one of the runs, and what identifies that run.
        n: the number of seeds.
        mean, low, high: the mean return, and its 95% interval over seeds; no interval for fewer than three seeds.
        worst, best: the lowest and the highest return of a seed.
    """

    settings: str
    environment: str
    total_steps: int
    seed: int
    identity: str
    n: int
    mean: float
    low: float | None
    high: float | None
    worst: float
    best: float

    @property
    def numbers(self) -> str:
        """The result as text."""
        interval = "" if self.low is None or self.high is None else f" [{number(self.low)}, {number(self.high)}]"
        return f"{number(self.mean)}{interval}"

    @property
    def seeds(self) -> str:
        """The number of seeds and their range as text."""
        return f"{self.n} seeds, {number(self.worst)} to {number(self.best)}"


def known_results() -> list[Reached]:
    """Return everything that is known."""
    text = (files("acexp.commands") / "reached.json").read_text(encoding="utf-8")
    return [Reached(**entry) for entry in json.loads(text)]


def comparison(config: RunConfig, mean_return: float | None, known: Sequence[Reached]) -> str | None:
    """Return a line that says what other seeds of a run's settings have reached, or which preset reaches more.

    Args:
        config: The config of the run.
        mean_return: The mean return that the run ended with; None if no episode has ended.
        known: What is known.
    """
    for entry in known:
        if identity(replace(config, seed=entry.seed)) == entry.identity:
            return f"these settings reached {entry.numbers} in evaluations after training ({entry.seeds})"
    is_plain = not (config.env.kwargs or config.env.wrappers)
    alike = [entry for entry in known if entry.environment == config.env.id and is_plain]
    best = max(alike, key=lambda entry: entry.mean, default=None)
    if best is None or (mean_return is not None and mean_return >= (best.mean if best.low is None else best.low)):
        return None
    return f"{best.settings} reached {best.numbers} after {best.total_steps:,} env steps ({best.seeds})"
