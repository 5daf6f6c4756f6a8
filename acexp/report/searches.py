"""Records of hyperparameter searches and their trials, read from the files of sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acexp.sweeps import sweep_directory


@dataclass(frozen=True, slots=True)
class Trial:
    """One combination of settings that a search tried.

    Attributes:
        number: the number of the trial, in the order in which trials were created.
        state: `complete`, `pruned`, `fail`, or `running`.
        params: the chosen values, by config key.
        value: the IQM of its runs' scores; None if the trial has none, or if it is not finite.
        rungs: the IQM at each evaluation before the end, by env step.
    """

    number: int
    state: str
    params: Mapping[str, str | float | int]
    value: float | None
    rungs: Mapping[int, float]

    @property
    def latest(self) -> float | None:
        """The value, or the last IQM before the trial was pruned."""
        return self.value if self.value is not None or not self.rungs else self.rungs[max(self.rungs)]


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """A search and its trials.

    Attributes:
        study: the name of the Optuna study.
        how: the sampler and the pruner.
        best: the number of the best trial; None before one is complete.
        importances: the share of the spread of values that each key explains; empty after few trials.
        trials: all trials.
    """

    study: str
    how: str
    best: int | None
    importances: Mapping[str, float]
    trials: tuple[Trial, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The config keys that were searched."""
        return tuple(dict.fromkeys(key for trial in self.trials for key in trial.params))


def read_searches(*directories: Path) -> tuple[SearchRecord, ...]:
    """Return the searches among the sweeps in or below directories."""
    found = []
    for folder in sorted({folder for each in directories for folder in sweep_directory.searches_below(each)}):
        try:
            content = sweep_directory.read_search(folder)
            trials = tuple(
                Trial(
                    number=trial["number"],
                    state=trial["state"],
                    params=trial["params"],
                    value=trial["value"] if isinstance(trial["value"], (int, float)) else None,
                    rungs={int(step): float(value) for step, value in trial["rungs"].items()},
                )
                for trial in content["trials"]
            )
            how = f"{content['sampler']}, pruner {content['pruner']}"
            found.append(SearchRecord(content["study"], how, content["best"], content["importances"], trials))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # the file is being written, or another program wrote it
    return tuple(found)
