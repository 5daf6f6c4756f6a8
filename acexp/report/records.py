"""Records of runs, read from their files without importing or executing any code that belongs to a run."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acexp.config.effects import without_effect
from acexp.config.saved import read_settings
from acexp.core.errors import UserError
from acexp.metrics import Series, read_series, tags
from acexp.runs import evaluation, run_directory
from acexp.runs.run_directory import Status
from acexp.runs.saved_policy import Which, read_score
from acexp.sweeps import overview, sweep_directory
from acexp.sweeps.sweep_directory import Sweep

Floats = NDArray[np.float64]

INCIDENTAL = ("name", "device", "torch_threads", "plugins", "engine.threads", "log", "checkpoint", "eval", "seed")
"""Settings, or groups of them, that do not make two runs different experiments."""

NOTHING = Series(np.zeros(0), np.zeros(0))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A run's last evaluation.

    Attributes:
        mean: the mean return.
        n_episodes: the number of episodes.
        is_deterministic: whether the most likely actions were taken.
        infos: the means of the numbers in the last infos of episodes, by tag: `info/<key>`.
    """

    mean: float
    n_episodes: int
    is_deterministic: bool
    infos: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Best:
    """A run's best policy by evaluation during training.

    Attributes:
        chosen_by: the mean return of the evaluation that chose it.
        again: its evaluation in environments that did not choose it; None if there is none.
    """

    chosen_by: float
    again: Evaluated | None


@dataclass(frozen=True, slots=True)
class Record:
    """One run, as its files describe it.

    Attributes:
        directory: the run's directory, relative to the one that was read, or to the common folder of several.
        environment: the id of its environment.
        seed: its seed.
        settings: all settings that define the experiment, without the seed, as text by dotted key.
        status: the status in status.json, or KILLED.
        error: the error that ended the run, if there was one.
        total_steps: the env steps that it was to train for.
        steps: the env steps that it has trained for; of a run that is still training, those that it has logged.
        evaluated: the evaluation of its final policy; None if there is none.
        training_return: the mean return of its last 100 training episodes; None if none ended.
        steps_per_second: the env steps per second of its whole population.
        series: the values of each tag over training.
        versions: the versions of the packages that it ran with, by name.
        command: the command that started it.
        best: its best policy by evaluation during training; None if it was not kept.
    """

    directory: Path
    environment: str
    seed: int
    settings: Mapping[str, str]
    status: str
    error: str | None
    total_steps: int
    steps: int
    evaluated: Evaluated | None
    training_return: float | None
    steps_per_second: float | None
    series: Mapping[str, Series]
    versions: Mapping[str, str]
    command: str
    best: Best | None = None

    @property
    def is_done(self) -> bool:
        return self.status == Status.DONE

    @property
    def is_training(self) -> bool:
        """Whether a process is training the run now, or a search has paused it for a while."""
        return self.status in (Status.RUNNING, Status.PAUSED)


@dataclass(frozen=True, slots=True)
class Collection:
    """The runs in or below some directories, and those that are known to be missing.

    Attributes:
        records: the records of runs that have begun, in the order of their directories.
        unreadable: the directories that could not be read, each with the reason.
        n_unstarted: the number of runs of the sweeps that have not begun.
        sweeps: the description of each sweep, by directory.
    """

    records: tuple[Record, ...]
    unreadable: Mapping[Path, str]
    n_unstarted: int
    sweeps: Mapping[Path, Sweep]


def common_folder(directories: Sequence[Path]) -> Path:
    """Return the directory itself if there is one, else the deepest folder that contains all of them."""
    return Path(os.path.commonpath(directories))


def collect(*directories: Path) -> Collection:
    """Return every run in or below directories; raise UserError if one of them has none, or if none can be read.

    The directories of the records are relative to the common folder of `directories`.
    """
    root = common_folder(directories)
    found = sorted({run for directory in directories for run in _runs_in(directory)})
    records, unreadable = [], {}
    for run in found:
        name = run.relative_to(root)
        try:
            records.append(read(run, name))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
            unreadable[name] = _reason(error)
    sweeps = {folder: sweep for each in directories for folder, sweep in sweep_directory.sweeps_below(each).items()}
    n_unstarted = sum(
        sweep_directory.unstarted(sweep, [run for run in found if run.parent == folder])
        for folder, sweep in sweeps.items()
    )
    if not records:
        raise UserError(
            "; ".join(["No run here can be read", *(f"{name}: {why}" for name, why in list(unreadable.items())[:3])]),
            value=", ".join(map(str, directories)),
            remedy="restore the files from a copy, or train these runs anew"
            if unreadable
            else "let its runs begin first",
        )
    named = {folder.relative_to(root): sweep for folder, sweep in sweeps.items()}
    return Collection(tuple(records), unreadable, n_unstarted, named)


def _reason(error: Exception) -> str:
    """Return in one line why a run cannot be read."""
    return error.problem if isinstance(error, UserError) else f"{type(error).__name__}: {error}".splitlines()[0]


def _runs_in(directory: Path) -> list[Path]:
    found = overview.runs_below(directory)
    if not found:
        sweep_directory.runs_in(directory)  # raises UserError, unless this is a sweep that has not begun
    return found


def read(directory: Path, name: Path) -> Record:
    """Return the record of one run, from its files; `name` becomes the directory of the record."""
    config = {key: _text(value) for key, value in read_settings(directory / run_directory.CONFIG).items()}
    status = run_directory.read_status(directory)
    summary = run_directory.read_summary(directory)
    series = read_series(directory / run_directory.METRICS)
    steps = int(status.get("steps", max((each.steps[-1] for each in series.values()), default=0)))
    return Record(
        directory=name,
        environment=config["env.id"],
        seed=int(config["seed"]),
        settings=_settings(config),
        status=run_directory.current_status(directory, status),
        error=status.get("error"),
        total_steps=int(config["total_steps"]),
        steps=steps,
        evaluated=_evaluated(evaluation.read(directory), steps),
        training_return=summary.get("mean_return_last_100"),
        steps_per_second=status.get("steps_per_second"),
        series=series,
        versions=status.get("versions", {}),
        command=str(status.get("command", "")),
        best=_best(directory),
    )


def _best(directory: Path) -> Best | None:
    score = read_score(directory)
    return score and Best(score.mean, _evaluated(evaluation.read(directory, Which.BEST), score.step))


def _settings(config: Mapping[str, str]) -> dict[str, str]:
    ignored = without_effect(config)

    def is_incidental(key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in INCIDENTAL)

    return {key: value for key, value in config.items() if key not in ignored and not is_incidental(key)}


def _evaluated(content: Mapping[str, Any], steps: int) -> Evaluated | None:
    """Return what eval.json or eval.best.json holds; None for nothing, or for an evaluation of an earlier policy.

    It has no mean where a return is infinite or NaN; then there is none either.
    """
    if not content or content["step"] != steps or content["return"]["mean"] is None:
        return None
    returns = content["return"]
    infos = {tag: float(value) for tag, value in content.items() if tag.startswith(tags.INFO)}
    return Evaluated(float(returns["mean"]), int(returns["n"]), bool(content["deterministic"]), infos)


def _text(value: object) -> str:
    """Return a setting as it is written on the command line."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case list():
            return f"[{','.join(_text(part) for part in value)}]"
        case dict():
            return f"{{{', '.join(f'{key}: {_text(part)}' for key, part in value.items())}}}"
    return str(value)


def last_value(record: Record, tag: str) -> float | None:
    """Return the value of a tag at the end of training; None if it is missing or not finite."""
    values = record.series.get(tag, NOTHING).values
    return float(values[-1]) if len(values) and math.isfinite(values[-1]) else None


def versions_used(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return the versions of each package, over all runs."""
    packages = dict.fromkeys(package for record in records for package in record.versions)
    return {
        package: sorted({record.versions[package] for record in records if package in record.versions})
        for package in packages
    }
