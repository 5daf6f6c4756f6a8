"""What runs left behind, read without importing or executing anything of theirs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from acexp.core.errors import UserError
from acexp.runs import evaluation, run_directory
from acexp.runs.run_directory import Status, Sweep
from acexp.system.files import read_json

Floats = NDArray[np.float64]

INCIDENTAL = ("name", "device", "torch_threads", "plugins", "engine.threads", "log", "checkpoint", "eval", "seed")
"""Settings, or groups of them, that do not make two runs different experiments."""

WITHOUT_EFFECT = {
    ("clip.name", "none"): ("clip.max_norm", "clip.max_value", "clip.scope"),
    ("clip.name", "norm"): ("clip.max_value",),
    ("clip.name", "value"): ("clip.max_norm", "clip.scope"),
    ("arch.name", "separate"): ("optim.trunk",),
    ("optim.name", "single"): ("optim.trunk",),
}
"""Settings that nothing reads where another has this value; runs that differ in them alone are repeats."""

STEP = "step"
"""What a line of metrics.jsonl holds beside its tags."""

POINTLESS_AT_TIMES = frozenset(key for keys in WITHOUT_EFFECT.values() for key in keys)

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Series:
    """A tag over training: env steps and values, float64 `[K]` each."""

    steps: Floats
    values: Floats


NOTHING = Series(np.zeros(0), np.zeros(0))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A run's last evaluation: the mean return of how many episodes, and how actions were taken."""

    mean: float
    n_episodes: int
    is_deterministic: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One run.

    Attributes:
        directory: the run's, below the one that was read.
        environment: its id.
        seed: its own.
        settings: everything that makes it the experiment it is but its seed, as text by dotted key.
        status: as status.json says, or KILLED.
        error: what went wrong, if anything did.
        total_steps: that it was to train.
        steps: that it trained.
        evaluated: what the policy that it ended with was found to reach; None where that was not asked.
        training_return: mean of its last 100 training episodes; None if none ended.
        steps_per_second: of its population.
        series: by tag.
        versions: of the packages that it ran with, by name.
        command: that asked for it.
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

    @property
    def is_done(self) -> bool:
        return self.status == Status.DONE


@dataclass(frozen=True, slots=True)
class Collection:
    """Runs that belong together, and what is known to be missing.

    Attributes:
        records: of runs that have begun, by directory.
        unreadable: directories that could not be read, and why.
        n_unstarted: runs of the sweeps that have not begun.
        sweeps: what is known of them, by directory.
    """

    records: tuple[Record, ...]
    unreadable: Mapping[Path, str]
    n_unstarted: int
    sweeps: Mapping[Path, Sweep]


def collect(directory: Path) -> Collection:
    """Every run in or below a directory; raises UserError where there is none that can be read."""
    found = sorted(path.parent for path in directory.rglob(run_directory.STATUS))
    if not found:
        run_directory.runs_in(directory)  # says so, unless a sweep was asked for and has not begun
    records, unreadable = [], {}
    for run in found:
        name = run.relative_to(directory)
        try:
            records.append(read(run, name))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError, yaml.YAMLError) as error:
            unreadable[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    folders = sorted(path.parent for path in directory.rglob(run_directory.SWEEP))
    sweeps = {folder: sweep for folder in folders if (sweep := run_directory.read_sweep(folder)) is not None}
    n_unstarted = sum(
        run_directory.unstarted(sweep, [run for run in found if run.parent == folder])
        for folder, sweep in sweeps.items()
    )
    if not records:
        raise UserError(
            "No run here can be read.",
            value=str(directory),
            remedy="; ".join(f"{name}: {why}" for name, why in list(unreadable.items())[:3])
            or "let its runs begin first",
        )
    named = {folder.relative_to(directory): sweep for folder, sweep in sweeps.items()}
    return Collection(tuple(records), unreadable, n_unstarted, named)


def read(directory: Path, name: Path) -> Record:
    """One run's files; `name` is what the record calls its directory."""
    text = (directory / run_directory.CONFIG).read_text(encoding="utf-8")
    config = {key: _text(value) for key, value in _leaves(yaml.load(text, _Loader))}
    status = run_directory.read_status(directory)
    summary = read_json(directory / run_directory.SUMMARY)
    steps = int(status.get("steps", 0))
    return Record(
        directory=name,
        environment=config["env.id"],
        seed=int(config["seed"]),
        settings=_settings(config),
        status=run_directory.state(directory, status),
        error=status.get("error"),
        total_steps=int(config["total_steps"]),
        steps=steps,
        evaluated=_evaluated(read_json(directory / evaluation.FILE), steps),
        training_return=summary.get("mean_return_last_100"),
        steps_per_second=status.get("steps_per_second"),
        series=_series(directory / run_directory.METRICS),
        versions=status.get("versions", {}),
        command=str(status.get("command", "")),
    )


def _settings(config: Mapping[str, str]) -> dict[str, str]:
    ignored = {key for (name, value), keys in WITHOUT_EFFECT.items() if config.get(name) == value for key in keys}

    def is_incidental(key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in INCIDENTAL)

    return {key: value for key, value in config.items() if key not in ignored and not is_incidental(key)}


def _evaluated(content: Mapping[str, Any], steps: int) -> Evaluated | None:
    """What eval.json says of the final policy; an evaluation of an earlier one tells nothing of this."""
    if not content or content["step"] != steps:
        return None
    returns = content["return"]
    return Evaluated(float(returns["mean"]), int(returns["n"]), bool(content["deterministic"]))


def _leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(tree, Mapping) or not tree:
        yield prefix, tree
        return
    for key, value in tree.items():
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))


def _text(value: object) -> str:
    """A setting as the command line would have it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case list():
            return f"[{','.join(_text(part) for part in value)}]"
    return str(value)


def _series(path: Path) -> dict[str, Series]:
    """A log as columns. Most lines hold the same tags, and are read as blocks: sweeps have millions of lines."""
    blocks: dict[tuple[str, ...], list[list[float]]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        values = json.loads(line)
        blocks.setdefault(tuple(values), []).append(list(values.values()))
    columns: dict[str, list[Floats]] = {}
    for names, rows in blocks.items():
        block = np.array(rows, np.float64).T
        steps = block[names.index(STEP)]
        for name, column in zip(names, block, strict=True):
            columns.setdefault(name, []).append(np.stack((steps, column)))
    columns.pop(STEP, None)
    found = {}
    for tag, parts in columns.items():
        together = np.concatenate(parts, axis=1)
        steps, values = together[:, np.argsort(together[0], kind="stable")]
        found[tag] = Series(steps, values)
    return found


def last_value(record: Record, tag: str) -> float | None:
    """What a tag was at the end of training."""
    values = record.series.get(tag, NOTHING).values
    return float(values[-1]) if len(values) and math.isfinite(values[-1]) else None


def versions_used(records: Sequence[Record]) -> dict[str, list[str]]:
    """The versions of each package, over all runs."""
    packages = dict.fromkeys(package for record in records for package in record.versions)
    return {
        package: sorted({record.versions[package] for record in records if package in record.versions})
        for package in packages
    }
