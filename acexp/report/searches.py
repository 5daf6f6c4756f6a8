"""What a search wrote down of its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acexp.runs import run_directory
from acexp.system.files import read_json


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting that was tried.

    Attributes:
        number: in the order in which they were asked for.
        state: `complete`, `pruned`, `fail`, or `running`.
        params: what was chosen, by key.
        value: the IQM of its runs' scores; None for a trial that has none, or not a finite one.
        rungs: the same at each evaluation before the end, by env step.
    """

    number: int
    state: str
    params: Mapping[str, str | float | int]
    value: float | None
    rungs: Mapping[int, float]

    @property
    def latest(self) -> float | None:
        """Its value, or what it came to before it was pruned."""
        return self.value if self.value is not None or not self.rungs else self.rungs[max(self.rungs)]


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """A search.

    Attributes:
        study: its name.
        how: sampler and pruner.
        best: the number of the best trial; None before one is complete.
        importances: how much of the spread of values each key explains; empty after few trials.
        trials: all of them.
    """

    study: str
    how: str
    best: int | None
    importances: Mapping[str, float]
    trials: tuple[Trial, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """What was searched."""
        return tuple(dict.fromkeys(key for trial in self.trials for key in trial.params))


def read_searches(directory: Path) -> tuple[SearchRecord, ...]:
    """Of all sweeps in or below a directory, those that searched."""
    found = []
    for path in sorted(directory.rglob(run_directory.SEARCH)):
        try:
            told = read_json(path)
            trials = tuple(
                Trial(
                    number=trial["number"],
                    state=trial["state"],
                    params=trial["params"],
                    value=trial["value"] if isinstance(trial["value"], (int, float)) else None,
                    rungs={int(step): float(value) for step, value in trial["rungs"].items()},
                )
                for trial in told["trials"]
            )
            how = f"{told['sampler']}, pruner {told['pruner']}"
            found.append(SearchRecord(told["study"], how, told["best"], told["importances"], trials))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # one that is being written, or not ours
    return tuple(found)
