"""What is kept of each run: its scores, its learning curve in ten points, and what its logs say about its gradients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from acexp.metrics import Series, tags
from acexp.report.records import Record

Floats = NDArray[np.float64]

PARTS = ("actor", "critic", "trunk", "optim_actor", "optim_critic", "optim_joint")
POINTS = 10
WINDOW = 100
"""The number of updates over which the kurtosis of gradient norms is taken: norms also change slowly, with learning."""

SIMULATORS = {"mujoco": "mujoco", "envpool": "envpool", "tabular": "gymnasium", "gymnasium": "gymnasium"}


def measure(record: Record, directory: Path, engine: str, threads: int) -> dict[str, object]:
    """Return a run's row. What it has not, such as the cosine of two networks without a trunk, is left out."""
    assert record.evaluated is not None
    curve = in_tenths(record.series[tags.EPISODE_RETURN], record.total_steps)
    row: dict[str, object] = {
        "seed": record.seed,
        "score": record.evaluated.mean,
        "training": record.training_return,
        "area": float(np.mean(curve)),
        **{f"return {10 * (i + 1)}%": value for i, value in enumerate(curve)},
    }
    for name, tag in (("entropy", "policy/entropy"), ("std", "policy/std"), ("explained", tags.EXPLAINED_VARIANCE)):
        if tag in record.series:
            tenths = in_tenths(record.series[tag], record.total_steps)
            row |= {f"{name} first": tenths[0], f"{name} middle": tenths[4], f"{name} last": tenths[-1]}
    batch = int(record.settings["algo.n_envs"]) * int(record.settings["algo.n_steps"])
    row |= _gradients(record.series, record.total_steps // batch)
    row["volume"] = volume(directory)
    versions = record.versions
    packages = ("acexp", "torch", "numpy", SIMULATORS[engine])
    row |= {
        "engine": engine,
        "threads": threads,
        "versions": ", ".join(f"{package} {versions[package]}" for package in packages),
    }
    return row


def _gradients(series: Mapping[str, Series], n_updates: int) -> dict[str, float]:
    """Return the norms, and their kurtosis if each update was logged by itself: averages have no heavy tails."""
    found: dict[str, float] = {}
    for part in PARTS:
        if (before := series.get(tags.before_clip(part))) is None:
            continue
        found[f"norm {part}"] = float(np.median(before.values))
        found[f"norm {part} after"] = float(np.median(series[tags.after_clip(part)].values))
        if len(before.values) >= n_updates:
            found[f"kurtosis {part}"] = kurtosis(before.values)
        if (clipped := series.get(tags.clip_fraction(part))) is not None:
            found[f"clipped {part}"] = float(np.mean(clipped.values))
    if (cosine := series.get(tags.TRUNK_COSINE)) is not None:
        found["cosine"] = float(np.mean(cosine.values))
        found["cosine negative"] = float(np.mean(cosine.values < 0.0))
    return found


def in_tenths(series: Series, total_steps: int) -> list[float]:
    """Return the mean of a tag's values in each tenth of training; a tenth without values has those before it."""
    ends = total_steps * np.arange(1, POINTS) / POINTS
    parts = np.split(series.values, np.searchsorted(series.steps, ends, side="right"))
    found: list[float] = []
    for part in parts:
        found.append(float(np.mean(part)) if len(part) else (found[-1] if found else float(series.values[0])))
    return found


def kurtosis(norms: Floats) -> float:
    """Return the median over windows of the kurtosis of norms, which is 3 for normal ones; NaN if there is no window.

    The kurtosis of gradient norms is one of the measures of heavy tails of Garg et al. (2021).
    """
    n = len(norms) // WINDOW
    if not n:
        return float("nan")
    windows = norms[: n * WINDOW].reshape(n, WINDOW)
    centred = windows - windows.mean(1, keepdims=True)
    variance = (centred**2).mean(1)
    known = variance > 0.0
    return float(np.median((centred[known] ** 4).mean(1) / variance[known] ** 2)) if known.any() else float("nan")


def volume(directory: Path) -> float:
    """Return the mean logarithm of the standard deviation of the observations that a run has met, over dimensions.

    It says how far a run has explored, and is taken from the running normalizer; NaN without one.
    """
    saved = load_file(directory / "policy.safetensors")
    scales = [np.asarray(value, np.float64) for name, value in saved.items() if name.endswith("used_scale")]
    return float(np.mean([-np.log(scale).mean() for scale in scales])) if scales else float("nan")
